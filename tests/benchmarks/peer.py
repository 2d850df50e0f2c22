"""The same records and questions on another help desk, django-helpdesk, started here in an environment of its own.

What its tickets have no place for, kind, category, product and serial number, are fields that an administrator adds.
Its list of tickets is a page and the rows that the page's script asks for at once; a reader waits for both.  Ours is
one page.  It is fetched from PyPI at a fixed version, so this needs the network once, and runs only when asked for.
"""

from __future__ import annotations

import base64
import http
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from opensearch.node.child import Child
from tests.benchmarks.table import Table, percentile
from tests.installation import PASSWORD, Client, Installation, children_of, processor_s, wait_for
from tests.servers import free_port

PINNED = ("django-helpdesk==2.6.1", "Django==5.2.*", "gunicorn", "setuptools")
LEAST_TIMES = 100.0
ASKED = 12
PATIENCE_S = 300.0

SITE = """
import json, os, sys
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="benchmark", DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF="site_of_peer", USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["PEER_DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", STATIC_URL="/static/", SITE_ID=1,
    HELPDESK_TEAMS_MODE_ENABLED=False, LOGIN_URL="/login/",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.sites", "django.contrib.humanize", "django.contrib.staticfiles",
        "rest_framework", "helpdesk",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.debug", "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django.urls import include, path

urlpatterns = [path("", include("helpdesk.urls", namespace="helpdesk"))]
application = get_wsgi_application()

if __name__ == "__main__":
    from importlib import import_module

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.core.management import call_command
    from helpdesk.models import CustomField, FollowUp, Queue, Ticket, TicketCustomFieldValue

    call_command("migrate", verbosity=0)
    agent = get_user_model().objects.create_superuser("agent", "agent@example.com", "a long password of an agent")
    queue = Queue.objects.create(title="Desk", slug="desk")
    states = {"new": 1, "open": 1, "waiting": 1, "resolved": 3, "closed": 4}
    fields = {
        name: CustomField.objects.create(name=name, label=name, data_type="varchar", max_length=200, required=False)
        for name in ("kind", "category", "product", "serial_number")
    }
    tickets, values, replies = [], [], []
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            meta = line["meta"]
            ticket = Ticket(
                queue=queue, title=line["title"][:200], description=line["text"], status=states[meta["state"]],
                submitter_email="somebody@example.com", created=meta["created_at"],
            )
            tickets.append(ticket)
            values += [TicketCustomFieldValue(ticket=ticket, field=fields[name], value=meta[name]) for name in fields]
            replies += [
                FollowUp(ticket=ticket, date=one["at"], comment=one["body"], public=one["kind"] == "reply")
                for one in meta["entries"]
            ]
    for kind, rows in ((Ticket, tickets), (TicketCustomFieldValue, values), (FollowUp, replies)):
        for row in rows:
            if kind is not Ticket:
                row.ticket_id = row.ticket.pk
        kind.objects.bulk_create(rows, batch_size=1000)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(agent.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = agent.get_session_auth_hash()
    session.save()
    print(session.session_key)
"""


def compare(table: Table, place: Installation, email: str, records: Path, queries: Sequence[str]) -> None:
    """Ask both for the same words, in turn, and compare how long a reader waits."""
    folder = records.parent / "peer"
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    subprocess.run([folder / "env" / "bin" / "pip", "install", "--quiet", *PINNED], check=True)
    (folder / "site_of_peer.py").write_text(SITE)
    environment = ["env", f"PEER_DATABASE={folder / 'peer.sqlite3'}", f"PYTHONPATH={folder}"]
    python = folder / "env" / "bin" / "python"
    loaded = subprocess.run(
        [*environment, python, folder / "site_of_peer.py", records], check=True, capture_output=True, text=True
    )
    port = free_port()
    server = [*environment, str(python), "-m", "gunicorn", "--workers=2", f"--timeout={PATIENCE_S:.0f}"]
    peer = Child([*server, f"--bind=127.0.0.1:{port}", "site_of_peer:application"], log=folder / "peer.log", cwd=folder)
    theirs = Client(port, timeout_s=PATIENCE_S)
    theirs.headers["Cookie"] = f"sessionid={loaded.stdout.strip()}"
    ours = place.client()
    ours.sign_in(email, PASSWORD)
    try:
        wait_for(lambda: _answers(theirs), timeout_s=PATIENCE_S)
        ours_ms, theirs_ms, found = [], [], 0
        spent_s = place.processor_s("web"), _processors_s(peer)
        for text in queries[: ASKED + 1]:
            shown = ours.ask("GET", "/search", q=text, kind="record")
            assert shown.status == http.HTTPStatus.OK, shown.body
            ours_ms.append(shown.ms)
            began = time.perf_counter()
            found += _ask(theirs, text)
            theirs_ms.append((time.perf_counter() - began) * 1000)
        ours_s, theirs_s = place.processor_s("web") - spent_s[0], _processors_s(peer) - spent_s[1]
    finally:
        ours.close()
        theirs.close()
        peer.stop(timeout_s=40)
    # The first of each opens files and connections.
    del ours_ms[0], theirs_ms[0]
    table.spread("peer: our page of records", ours_ms, " ms")
    table.spread("peer: django-helpdesk 2.6.1's list of tickets and its rows, unranked", theirs_ms, " ms")
    table.add("peer:   tickets it found in all", f"{found:,}")
    times = percentile(theirs_ms, 50) / percentile(ours_ms, 50)
    table.at_least("peer: ours is faster by, p50", times, LEAST_TIMES, " ×")
    table.add("peer:   and spares of its processor time", f"{theirs_s / ours_s:,.0f} ×")


def _processors_s(server: Child) -> float:
    return sum(map(processor_s, children_of(server.pid)))


def _answers(client: Client) -> bool:
    try:
        return client.ask("GET", "/tickets/").status == http.HTTPStatus.OK
    except OSError:
        return False


def _ask(client: Client, text: str) -> int:
    page = client.ask("GET", "/tickets/", q=text)
    assert page.status == http.HTTPStatus.OK, page.body
    query: dict[str, object] = {
        "filtering": {},
        "filtering_null": {},
        "sorting": None,
        "sortreverse": False,
        "search_string": text,
    }
    coded = base64.b64encode(json.dumps(query).encode()).decode()
    rows = client.ask("GET", f"/datatables_ticket_list/{coded}", draw=1, start=0, length=25, **COLUMNS)
    assert rows.status == http.HTTPStatus.OK, rows.body
    return int(rows.json["recordsFiltered"])


COLUMNS = {"order[0][column]": "0", "order[0][dir]": "desc", "search[value]": ""}
