"""What somebody may not read answers like what does not exist: the same words, the same status, in the same time."""

import statistics
import time

import pytest

from portal import audit
from portal.extensions import db, limiter
from tests.leaks.house import House, build
from tests.test_policy import MISSING, PARAMETER, POLICY, SAFE, address, plain

JSON = {
    "/api/v1/articles/<int:article_id>": {"title": "Changed", "body": "Changed"},
    "/api/v1/records/<int:record_id>": {"subject": "Changed"},
    "/api/v1/records/<int:record_id>/entries": {"kind": "reply", "body": "Changed"},
    "/api/v1/customers/<int:customer_id>": {"name": "Changed"},
}
FORM = {
    "body": "Changed",
    "subject": "Changed",
    "title": "Changed",
    "name": "Changed",
    "kind": "reply",
    "state": "open",
    "version": "1",
    "answer": "yes",
    "every": "day",
    "number": "R-000001",
    "article_id": "1",
    "address": "1",
    "assignee_id": "1",
}
SPREAD = 2.5
"""How far the medians may lie apart: a look at a page's own tables would be ten times as long."""


@pytest.fixture
def settings(postgres_settings):
    """PostgreSQL, which looks things up as it does in production, and refuses more than SQLite."""
    return postgres_settings


@pytest.fixture
def house(app, people, monkeypatch) -> House:
    """The portal full of canaries; no index is needed to be refused."""
    monkeypatch.setattr(limiter, "enabled", False)
    return build(people)


def addresses(values):
    """Return every route that these values fill, except a search by them."""
    for route in POLICY:
        method, rule = route.split(" ", 1)
        names = set(PARAMETER.findall(rule))
        is_elsewhere = "slug" in names and values.get("at", "") not in rule
        if names and names <= set(values) and not is_elsewhere:
            yield method, rule


def ask(client, method, rule, values):
    path = address(rule, {**MISSING, "article_attachment_id": values.get("attachment_id", 2000000014), **values})
    more = {}
    if method not in SAFE:
        more = {"json": JSON[rule]} if rule in JSON and method != "DELETE" else {"data": FORM}
    answer = plain(client.open(path, method=method, **more), path)
    with client.session_transaction() as session:
        # What the next page would tell belongs to this answer and not to that page's.
        return (*answer, session.pop("_flashes", []))


def readable_pages(client, values):
    """Say whether the thing itself is shown: its page, or its answer as JSON."""
    for rule in (
        "/articles/<slug>",
        "/records/<string:number>",
        "/categories/<slug>",
        "/products/<slug>",
        "/tags/<slug>",
    ):
        name = PARAMETER.findall(rule)[0]
        if name in values and values.get("at", rule) in rule:
            return ask(client, "GET", rule, values)[0] in (200, 301, 302)
    return False


def test_the_unreadable_answers_like_the_missing(app, people, client_for, house):
    entries = db.session.query(audit.AuditEntry).count()
    different = []
    for name in ("ann", "alice", "carol"):
        client, answers = client_for(getattr(people, name)), {}
        compared = 0

        def asked(method, rule, values, client=client, answers=answers):
            """Ask once: what is missing answers the same however often it is asked for."""
            key = (method, address(rule, {**values, "article_attachment_id": values.get("attachment_id", 0)}))
            if key not in answers:
                answers[key] = ask(client, method, rule, values)
            return answers[key]

        for values in house.values:
            is_of_staff = "user_id" in values or "synonym_id" in values or values.get("at") == "/families"
            is_for_agents = "customer_id" in values and name == "carol"
            if is_of_staff or is_for_agents or readable_pages(client, values):
                continue
            missing = {key: MISSING.get(key, "") for key in values if key != "at"}
            missing["attachment_id"] = MISSING["article_attachment_id"]
            for method, rule in addresses(values):
                compared += 1
                theirs, none = asked(method, rule, values), asked(method, rule, missing)
                if theirs != none:
                    different.append(f"{name}: {method} {rule} {values}: {theirs[0]} and {none[0]}")
        assert compared > 30, name
    assert different == []
    assert db.session.query(audit.AuditEntry).count() == entries


def test_a_file_of_a_note_answers_like_no_file(app, people, client_for, house):
    alice = client_for(people.alice)
    answers = {}
    for values in house.values:
        if "file_id" in values and ask(alice, "GET", "/records/<string:number>", values)[0] == 200:
            path = address("/records/<string:number>/attachments/<int:file_id>", values)
            answers[path] = alice.get(path).status_code
    assert sorted(answers.values()) == [200, 404]
    forbidden = next(path for path, status in answers.items() if status == 404)
    none = forbidden.rsplit("/", 1)[0] + "/2000000099"
    assert plain(alice.get(forbidden), forbidden) == plain(alice.get(none), none)


def test_the_unreadable_takes_as_long_as_the_missing(app, people, client_for, house):
    """Samples are taken in turn, so that what else runs here holds both up alike; three tries, the best one counts."""
    alice = client_for(people.alice)
    internal = next(
        values
        for values in house.values
        if values.get("at") == "/articles" and ask(alice, "GET", "/articles/<slug>", values)[0] == 404
    )
    others = next(
        values
        for values in house.values
        if "file_id" in values and ask(alice, "GET", "/records/<string:number>", values)[0] == 404
    )
    rules = [
        ("/articles/<slug>", internal),
        ("/articles/<slug>/attachments/<int:attachment_id>", internal),
        ("/api/v1/articles/<int:article_id>", internal),
        ("/records/<string:number>", others),
        ("/records/<string:number>/attachments/<int:file_id>", others),
        ("/api/v1/records/<int:record_id>", others),
    ]

    def took(path):
        began = time.perf_counter()
        assert alice.get(path).status_code == 404
        return time.perf_counter() - began

    def ratio(theirs, none):
        times = [(took(theirs), took(none)) for _ in range(9)]
        one, other = (statistics.median(column) for column in zip(*times, strict=True))
        return max(one / other, other / one)

    apart = {}
    for rule, values in rules:
        theirs = address(rule, {**values, "article_attachment_id": values.get("attachment_id", 0)})
        none = address(rule, MISSING)
        apart[rule] = min(ratio(theirs, none) for _ in range(3))
    print({rule: round(found, 2) for rule, found in apart.items()})
    assert {rule for rule, found in apart.items() if found > SPREAD} == set()
