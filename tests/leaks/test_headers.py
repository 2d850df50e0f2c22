"""Every route, by whatever method, carries the headers that guard it, and leads to no other place.

What things look like is asked for by the crawl (`test_crawl.py`), which looks at the same headers.
"""

import re

import pytest

from portal.extensions import db, limiter
from tests.leaks import headers
from tests.test_policy import MISSING, POLICY, address

ENDING = ("/sign-out", "/me/sessions/end")


@pytest.fixture
def settings(postgres_settings):
    """PostgreSQL, which refuses more than SQLite: a refusal carries the headers, too."""
    return postgres_settings


@pytest.mark.parametrize("name", ["ann", "alice", "fred"])
def test_every_answer_is_guarded(people, client_for, monkeypatch, name):
    monkeypatch.setattr(limiter, "enabled", False)
    client, wrong, statuses = client_for(getattr(people, name)), [], set()
    asked = [(route.split(" ", 1)[0], address(route.split(" ", 1)[1], MISSING)) for route in POLICY]
    asked += [("PUT", "/"), ("TRACE", "/"), ("GET", "/nowhere"), ("OPTIONS", "/search"), ("HEAD", "/"), ("GET", "/%00")]
    for method, path in asked:
        if path == "/sign-out":
            continue
        answer = client.open(path, method=method)
        statuses.add(answer.status_code)
        found = headers.lacking(answer, is_private=name != "ann")
        wrong += [f"{method} {path}: {found}"] if found else []
        db.session.remove()
        if path == "/me/sessions/end":
            client = client_for(getattr(people, name))
    assert wrong == []
    assert {200, 404, 405} <= statuses


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
