"""Whatever somebody can fetch holds nothing that `access` keeps from them: every page, fragment, download and error.

The words to look for stand one in each field (`house.py`); the crawl follows links and forms, asks for every address of
every thing whether it is linked or not, and reads bodies and headers alike.  Each answer carries what guards it
(`headers.py`), and none tells or follows a name that the client gave the portal.  The portal is one as it comes, and
one on the servers of production.
"""

import io
import logging
import re
from collections import defaultdict

import pytest
from sqlalchemy import text

from portal import logs
from portal.access import Permission
from portal.accounts.guard import needs
from portal.extensions import db
from portal.knowledge import reads
from portal.service import reading
from portal.service.models import Record
from tests.leaks import crawler
from tests.leaks.house import House
from tests.moulds import settings_in
from tests.people import Person

NAMES = ("ann", "alice", "bob", "carol", "dora", "erin", "fred")
FOLLOWERS = ("ann", "alice", "carol") if crawler.VARIANTS == crawler.SHORT else NAMES
"""Who follows links, too, in the short form; the others only ask for every address."""
NEVER_SHOWN = re.compile("meta of|a reader's reason")
"""The places that no page shows to anybody."""
ELSEWHERE = "evil.example"
CLAIMED = {"ann": {"Host": ELSEWHERE}, "fred": {"X-Forwarded-Host": ELSEWHERE}}
"""Who calls the portal by another name; links and redirects take theirs from the settings."""


@pytest.fixture(params=[pytest.param("embedded", marks=pytest.mark.thorough), "opensearch"])
def settings(request, tmp_path):
    """SQLite with the embedded engine, then PostgreSQL with OpenSearch."""
    return settings_in(tmp_path) if request.param == "embedded" else request.getfixturevalue("production_settings")


@pytest.fixture
def said(monkeypatch):
    """Everything that is logged while a test runs, by whichever way."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setLevel(logging.DEBUG)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    monkeypatch.setattr("sys.stderr", stream)
    logs.set_up()
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def leaks_to(house: House, person: Person, seen: list[crawler.Seen]) -> dict[str, list[str]]:
    """Return what somebody met and may not meet: the canary's place and where it stood."""
    wrong = defaultdict(list)
    for answer in seen:
        # What the address itself says is known to whoever asks for it.
        for word in house.found_in(answer.text) - house.found_in(answer.path):
            if not house.may_meet(person.viewer, word):
                wrong[house.place_of(word)].append(f"{answer.status} {answer.path}")
    return {place: paths[:3] for place, paths in wrong.items()}


def test_nobody_meets_what_is_not_for_them(app, people, client_for, house, said, monkeypatch):
    monkeypatch.setattr(reads, "EVERY_S", float("inf"))
    starts = [*crawler.addresses_of(app, house.values), *crawler.questions()]
    wrong, met = {}, {}
    for name in NAMES:
        person = getattr(people, name)
        seen = crawler.crawl(
            client_for(person),
            starts,
            is_private=person.user_id is not None,
            follows=name in FOLLOWERS,
            sent=CLAIMED.get(name),
        )
        assert [f"{one.status} {one.path}" for one in seen if one.status >= 500 and one.path != "/readyz"] == []
        assert [f"{one.path}: {one.lacking}" for one in seen if one.lacking] == []
        assert [one.path for one in seen if ELSEWHERE in one.text] == []
        leaks = leaks_to(house, person, seen)
        if leaks:
            wrong[name] = leaks
        met[name] = set().union(*(house.found_in(one.text) - house.found_in(one.path) for one in seen))
        print(f"{name}: {len(seen)} answers, {len(met[name])} canaries met")
    assert wrong == {}
    # The crawl is worth something: what anybody may meet was met, and each role met more than the one before it.
    everything = {*house.canaries, *house.phones}
    unmet = {house.place_of(word) for word in everything - set().union(*met.values())}
    assert {place for place in unmet if not NEVER_SHOWN.match(place)} == set()
    assert len(met["ann"]) < len(met["alice"]) < len(met["carol"]) < len(met["dora"]) < len(met["fred"])
    assert house.found_in(said.getvalue()) == set(), "canaries in the log"


def test_the_crawl_would_notice(app, people, client_for, house, monkeypatch):
    """With the one line removed that keeps notes from customers, the crawl finds them."""
    everything = reading.load_timeline
    monkeypatch.setattr(reading, "load_timeline", lambda _viewer, record: everything(people.carol.viewer, record))
    own = next(record for record in db.session.query(Record) if record.customer_id == people.company_a)
    seen = crawler.crawl(client_for(people.alice), [f"/records/{own.number}"], is_private=True, follows=False)
    assert "internal note of the record of A" in leaks_to(house, people.alice, seen)


def test_a_fault_tells_the_log_and_the_reader_nothing_of_what_it_met(app, people, client_for, said):
    """A database quotes the values it refuses; they reach neither the log nor the answer."""
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    word = "zq9999x"

    def fail(*_given, **_more):
        db.session.execute(text("INSERT INTO tag (slug, name) VALUES (:one, :one)"), {"one": word})
        db.session.execute(text("INSERT INTO tag (slug, name) VALUES (:one, :one)"), {"one": word})

    app.view_functions["home.help_"] = needs(Permission.READ)(fail)
    answer = client_for(people.ann).get("/help")
    assert answer.status_code == 500
    assert word not in crawler.everything_of(answer)
    assert "IntegrityError" in said.getvalue()
    assert word not in said.getvalue()
