"""Every answer of every route, whatever its status, carries the headers that guard it, and no foreign host gets in."""

import re
from http.cookies import SimpleCookie

import pytest

from portal.extensions import db, limiter
from portal.pages import HEADERS
from tests.leaks import crawler
from tests.leaks.house import House, build
from tests.test_policy import MISSING, POLICY, address

ENDING = ("/sign-out", "/me/sessions/end")
FILES = re.compile(r"/attachments/\d+$")


@pytest.fixture
def house(app, people, monkeypatch) -> House:
    monkeypatch.setattr(limiter, "enabled", False)
    return build(people)


def lacking(answer, path):
    """Return what an answer lacks."""
    policy = answer.headers.get("Content-Security-Policy", "")
    wrong = [name for name in HEADERS if name not in answer.headers]
    if not policy.startswith(("default-src 'self'", "default-src 'none'")) or "unsafe" in policy or "http" in policy:
        wrong.append(policy)
    if answer.headers.get("X-Content-Type-Options") != "nosniff":
        wrong.append("nosniff")
    if answer.mimetype == "text/html" and "frame-ancestors 'none'" not in policy:
        wrong.append("frames")
    for cookie in answer.headers.getlist("Set-Cookie"):
        held = next(iter(SimpleCookie(cookie).values()))
        if held.key == "casebook" and not (held["httponly"] and held["samesite"] == "Lax"):
            wrong.append(cookie)
    return wrong


@pytest.mark.parametrize("name", ["ann", "alice", "fred"])
def test_every_answer_is_guarded(app, people, client_for, house, name):
    client, wrong, statuses = client_for(getattr(people, name)), [], set()
    asked = [(route.split(" ", 1)[0], address(route.split(" ", 1)[1], MISSING)) for route in POLICY]
    asked += [("GET", path) for path in crawler.addresses_of(app, house.values[:8])]
    asked += [("PUT", "/"), ("TRACE", "/"), ("GET", "/nowhere"), ("OPTIONS", "/search"), ("HEAD", "/"), ("GET", "/%00")]
    for method, path in asked:
        if path == "/sign-out":
            continue
        answer = client.open(path, method=method)
        statuses.add(answer.status_code)
        found = lacking(answer, path)
        if name != "ann" and answer.status_code == 200 and not FILES.search(path) and "openapi" not in path:
            found += [] if "no-store" in answer.headers["Cache-Control"] else ["kept by caches"]
        wrong += [f"{method} {path}: {found}"] if found else []
        db.session.remove()
        if path == "/me/sessions/end":
            client = client_for(getattr(people, name))
    assert wrong == []
    assert {200, 404, 405} <= statuses


def test_a_foreign_host_reaches_no_link_and_no_redirect(app, people, client_for, house):
    """Addresses come from the settings: what a client calls the portal stands in no answer."""
    wrong = []
    for person, more in ((people.ann, {"Host": "evil.example"}), (people.fred, {"X-Forwarded-Host": "evil.example"})):
        client = client_for(person)
        for path in crawler.addresses_of(app, house.values[:5]):
            answer = client.get(path, headers=more)
            if "evil.example" in crawler.everything_of(answer):
                wrong.append(f"{person.name} {path}")
            if answer.location and not answer.location.startswith("/"):
                wrong.append(f"{person.name} {path} leads to {answer.location}")
    assert wrong == []


def test_no_parameter_leads_elsewhere(app, people, client_for):
    """Every route that redirects, asked with what looks like a place to go on to."""
    wrong = []
    client = client_for(people.alice)
    for target in ("//evil.example", "/\\evil.example"):
        given = dict.fromkeys(("next", "back", "url", "return", "to", "target", "redirect"), target)
        for route in (route for route in POLICY if "<" not in route and route.split()[1] not in ENDING):
            method, path = route.split(" ", 1)
            more = {"query_string": given | {"lang": "zh"}} if method == "GET" else {"data": given}
            answer = client.open(path, method=method, **more)
            if answer.location and not re.match(r"/(?![/\\\s])", answer.location):
                wrong.append(f"{route}: {answer.location}")
    assert wrong == []
