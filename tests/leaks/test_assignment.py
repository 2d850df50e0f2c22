"""Whatever is sent, nothing changes that the sender's role may not change.

Every column's name is sent to every unsafe route by each role, as a form and as JSON.  What changed in the database is
compared with one table: which role may bring a change of which column about.  The portal runs on PostgreSQL.
"""

import json
from collections import defaultdict
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from portal.access import STAFF_ROLES, Role
from portal.extensions import db, limiter
from tests.leaks.house import House, build
from tests.leaks.snapshot import Snapshot
from tests.test_policy import MISSING, PARAMETER, POLICY, SAFE, address

ANYBODY, CUSTOMER, AGENT, EDITOR, MANAGER, ADMIN = Role
RANK = {role: number for number, role in enumerate(Role)}

WRITTEN_BY_ALL = frozenset({
    "audit_entry", "audit_head", "outbox", "message", "search_log", "sign_in_attempt", "idempotency_key",
    "record_counter", "one_time_token", "user_session", "recovery_code", "used_code", "vote",
})  # fmt: skip
"""What the operations themselves keep; tests of their own say what they may hold."""
MAY_CHANGE = {
    ("article", "*"): AGENT,
    ("article", "state"): EDITOR,
    ("article", "published_at"): EDITOR,
    ("article", "helpful"): ANYBODY,
    ("article", "unhelpful"): ANYBODY,
    ("article_product", "*"): AGENT,
    ("article_slug", "*"): AGENT,
    ("article_tag", "*"): AGENT,
    ("attachment", "*"): CUSTOMER,
    ("category", "*"): EDITOR,
    ("contact", "*"): AGENT,
    ("contact_point", "*"): AGENT,
    ("customer", "*"): AGENT,
    ("customer_product", "*"): AGENT,
    ("customer_tag", "*"): AGENT,
    ("api_token", "*"): CUSTOMER,
    ("entry", "*"): CUSTOMER,
    ("entry", "is_internal"): AGENT,
    ("index_build", "*"): ADMIN,
    ("index_check", "*"): ADMIN,
    ("article_link", "*"): AGENT,
    ("judged_query", "*"): EDITOR,
    ("judged_set", "*"): EDITOR,
    ("judgement", "*"): EDITOR,
    ("measurement", "*"): EDITOR,
    ("preference", "*"): EDITOR,
    ("presence", "*"): AGENT,
    ("product", "*"): EDITOR,
    ("product_family", "*"): EDITOR,
    ("ranking_configuration", "*"): EDITOR,
    ("record", "*"): AGENT,
    ("record", "state"): CUSTOMER,
    ("record", "updated_at"): CUSTOMER,
    ("record", "resolved_at"): CUSTOMER,
    ("record", "closed_at"): CUSTOMER,
    ("record", "version"): CUSTOMER,
    ("record_link", "*"): AGENT,
    ("record_tag", "*"): AGENT,
    ("revision", "*"): AGENT,
    ("rule_change", "*"): EDITOR,
    ("rule_preview", "*"): EDITOR,
    ("rule_preview_change", "*"): EDITOR,
    ("saved_search", "*"): CUSTOMER,
    ("search_rule", "*"): EDITOR,
    ("synonym", "*"): EDITOR,
    ("tag", "*"): AGENT,
    ("user", "name"): CUSTOMER,
    ("user", "locale"): CUSTOMER,
    ("user", "keeps_searches"): CUSTOMER,
    ("user", "last_seen_at"): CUSTOMER,
    ("user", "epoch"): CUSTOMER,
    ("user", "role"): ADMIN,
    ("user", "customer_id"): ADMIN,
    ("user", "is_active"): ADMIN,
}
"""From which role on a column may change; a table's star stands for its other columns and for whole rows."""
MAY_ADD = {("record", "*"): CUSTOMER, ("entry", "is_internal"): CUSTOMER, ("user", "*"): ADMIN}
"""Where new rows have a rule of their own."""
FIXED = {
    "id", "key", "created_at", "number", "source", "external_id", "url", "meta", "digest", "import_digest", "by_id",
    "owner_kind", "owner_id", "record_id", "article_id", "customer_id", "user_id", "token_hash", "stored_name",
    "sha256", "submission", "at", "uploaded_by_id", "is_from_customer", "requested_by_id", "judged_by_id", "views",
    "hash", "previous_hash", "password_hash", "totp_secret", "email_sealed", "email_index", "requester_id", "html",
    "sections",
}  # fmt: skip
"""Columns of rows that are there which no form or JSON of anybody changes…"""
EXCEPT = {
    ("record", "customer_id"), ("article", "owner_id"), ("article", "html"), ("article", "sections"),
    ("search_rule", "article_id"),
    ("search_rule", "owner_id"), ("synonym", "owner_id"), ("user", "customer_id"), ("contact_point", "key"),
}  # fmt: skip
"""…except where they are fields that people fill in, or follow from them."""
OWN = {"saved_search": "user_id", "api_token": "user_id", "user": "id"}
"""Tables whose rows belong to one account; everybody below an administrator changes their own alone."""


def value_for(column):
    """Return what is sent under a column's name: something that would do harm."""
    kind = column.type.python_type if hasattr(column.type, "python_type") else str
    special = {
        "role": "admin", "state": "published", "audience": "public", "kind": "faq", "priority": "urgent",
        "email": "evil@example.com", "customer_id": 2, "user_id": 6, "owner_id": 6, "requester_id": 6, "record_id": 2,
        "article_id": 1, "assignee_id": 6, "owner_kind": "article", "is_internal": False, "version": 1,
        "language": "en", "every": "hour", "position": 1,
    }  # fmt: skip
    if column.name in special:
        return special[column.name]
    if kind is bool:
        return True
    if kind in (int, float):
        return 1
    if kind in (dict, list):
        return kind()
    if kind is datetime:
        return datetime(2030, 1, 1, tzinfo=UTC).isoformat()
    return "planted"


def everything():
    """Return a value for every column's name of every table."""
    return {column.name: value_for(column) for table in db.metadata.tables.values() for column in table.columns} | {
        "subject": "planted", "body": "planted", "title": "planted", "name": "planted", "answer": "yes",
        "is_staff": True, "is_admin": True, "permissions": "all", "resolution": "planted",
        "assignee": "fred@example.com",
    }  # fmt: skip


JSON = json.dumps(everything())
FORM = urlencode({
    name: "" if value is False else str(value)
    for name, value in everything().items()
    if not isinstance(value, dict | list)
})  # fmt: skip
"""Written once: there are thousands of requests."""


@pytest.fixture
def settings(postgres_settings):
    return postgres_settings


@pytest.fixture
def house(app, people, monkeypatch) -> House:
    monkeypatch.setattr(limiter, "enabled", False)
    return build(people)


def wrong_in(person, table, old, new):
    """Return what about a change of one row this person may not have brought about."""
    if old is None or new is None:
        rules = {**MAY_CHANGE, **(MAY_ADD if old is None else {})}
        least = rules.get((table, "*"), ADMIN)
        columns = ["*"] if RANK[person.role] < RANK[least] else []
        if old is None and table == "record" and person.role not in STAFF_ROLES:
            mine = (person.customer_id, person.user_id, None, "new", "normal", None)
            held = tuple(
                new[name] for name in ("customer_id", "requester_id", "assignee_id", "state", "priority", "source")
            )
            columns += [] if held == mine else [f"new row {held}"]
        if old is None and "is_internal" in new and person.role not in STAFF_ROLES and new["is_internal"]:
            columns.append("is_internal")
    else:
        columns = []
        for name in (name for name in new if old[name] != new[name]):
            least = MAY_CHANGE.get((table, name), MAY_CHANGE.get((table, "*")))
            is_fixed = name in FIXED and (table, name) not in EXCEPT
            if least is None or RANK[person.role] < RANK[least] or is_fixed:
                columns.append(name)
    owner = OWN.get(table)
    if table == "user" and old and new and columns == ["customer_id"] and new["customer_id"] is None:
        return []  # The customer was removed, which leaves its people accounts without a company.
    if owner is not None and person.role is not Role.ADMIN and (new or old)[owner] != person.user_id:
        columns.append(f"of account {(new or old)[owner]}")
    return columns


def fillings(house, route):
    """Return values for a route's parameters: of one thing that is there, of two for records."""
    names = set(PARAMETER.findall(route))
    fitting = [
        each for each in house.values if names & set(each) and ("slug" not in names or each.get("at", "") in route)
    ]
    whole = [each for each in fitting if names <= set(each)] or [
        {name: value for each in reversed(fitting) for name, value in each.items()}
    ]
    return [whole[0], whole[-1]] if {"record_id", "number"} & names else whole[:1]


def tries_of(rule):
    """Yield what is sent: everything at once and, as JSON, what is asked for with one field more."""
    if not rule.startswith("/api/"):
        yield {"data": FORM, "content_type": "application/x-www-form-urlencoded"}
        return
    declared = DECLARED.get(rule, {})
    yield {"data": JSON, "content_type": "application/json"}
    yield {"json": declared}
    for name, value in PLANTED.items():
        yield {"json": declared | {name: value}}


def test_nothing_changes_that_the_sender_may_not_change(app, people, client_for, house):
    wrong, changed, asked = defaultdict(list), defaultdict(int), 0
    filled = {route: fillings(house, route) for route in POLICY}
    for person in people.everybody:
        client = client_for(person)
        with Snapshot(ignored=WRITTEN_BY_ALL) as snapshot:
            for route in POLICY:
                method, rule = route.split(" ", 1)
                if method in SAFE:
                    continue
                for values in filled[route]:
                    path = address(rule, {**MISSING, "article_attachment_id": values.get("attachment_id", 1), **values})
                    for more in tries_of(rule):
                        answer = client.open(path, method=method, **more)
                        asked += 1
                        assert answer.status_code < 500, f"{person.name}: {method} {path} {more}"
                        for table, old, new in snapshot.changes():
                            changed[person.name] += 1
                            columns = wrong_in(person, table, old, new)
                            if columns:
                                wrong[f"{person.name}: {route}"].append(f"{table}.{','.join(columns)}")
                        snapshot.restore()
    print(f"{asked} requests, changes by {dict(changed)}")
    assert dict(wrong) == {}
    assert changed["Ann"] < changed["Alice"] < changed["Carol"] < changed["Dora"]


DECLARED = {
    "/api/v1/articles": {"title": "x", "body": "x"},
    "/api/v1/articles/<int:article_id>": {"title": "x"},
    "/api/v1/records": {"subject": "x"},
    "/api/v1/records/<int:record_id>": {"subject": "x"},
    "/api/v1/records/<int:record_id>/entries": {"kind": "reply", "body": "x"},
    "/api/v1/customers": {"name": "x"},
    "/api/v1/customers/<int:customer_id>": {"name": "x"},
}
PLANTED = {
    "state": "published", "customer_id": 2, "requester_id": 6, "owner_id": 6, "is_internal": False, "id": 1,
    "version": 1, "number": "R-000009", "role": "admin", "kind": "note", "audience": "public",
    "assignee": "fred@example.com", "priority": "urgent", "resolution": "x", "source": "evil",
    "html": {"body": "<script>"}, "created_at": "2020-01-01",
}  # fmt: skip
"""Sent one by one beside what a route asks for: whole sets are refused as soon as one name is unknown."""
