"""The audit log's chain: an edited, removed, moved or added row is found."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from portal import audit
from portal.audit import AuditEntry, append, verify
from portal.extensions import db


@pytest.fixture
def chain(app, people):
    for number in range(10):
        append(
            "thing.done", by=people.carol.viewer, kind="article", object_id=number, details={"n": number, "字": "值"}
        )
    db.session.commit()


def breaks():
    db.session.expire_all()
    return [(found.entry_id, found.reason) for found in verify()]


def change(statement):
    db.session.execute(text(statement))
    db.session.commit()


def test_an_untouched_chain_holds(chain):
    assert breaks() == []


def test_an_empty_chain_holds(app):
    assert breaks() == []


@pytest.mark.parametrize(
    "column",
    [
        "action = 'other'",
        "user_id = 1",
        "user_id = NULL",
        "object_id = 99",
        "object_kind = 'user'",
        "details = '{}'",
        "at = '2020-01-01 00:00:00.000000'",
    ],
)
def test_an_edited_row_is_found(chain, column):
    change(f"UPDATE audit_entry SET {column} WHERE id = 5")
    assert breaks() == [(5, "its fields were changed after it was written")]


def test_a_row_edited_with_its_hash_is_found_at_the_next(chain):
    entry = db.session.get_one(AuditEntry, 5)
    entry.action = "other"
    entry.hash = audit.link(entry)
    db.session.commit()
    assert [entry_id for entry_id, _ in breaks()] == [6]


def test_removed_rows_are_found(chain):
    change("DELETE FROM audit_entry WHERE id IN (4, 5)")
    assert breaks() == [(6, "entries 4 to 5 are missing")]


def test_a_removed_end_is_found(chain):
    change("DELETE FROM audit_entry WHERE id > 8")
    assert breaks() == [(10, "the chain should end at entry 10 and ends at 8")]


def test_an_emptied_log_is_found(chain):
    change("DELETE FROM audit_entry")
    assert len(breaks()) == 1


def test_moved_rows_are_found(chain):
    change("UPDATE audit_entry SET id = 99 WHERE id = 3")
    change("UPDATE audit_entry SET id = 3 WHERE id = 7")
    change("UPDATE audit_entry SET id = 7 WHERE id = 99")
    assert {3, 7} <= {entry_id for entry_id, _ in breaks()}


def test_an_added_row_is_found(chain):
    change(
        "INSERT INTO audit_entry (id, at, user_id, action, details, previous_hash, hash) "
        "VALUES (11, '2026-01-01 00:00:00.000000', 1, 'x', '{}', 'a', 'b')"
    )
    assert breaks()


def test_a_removed_head_is_found(chain):
    change("DELETE FROM audit_head")
    assert breaks()


def test_entries_go_with_their_transaction(app, people):
    append("thing.done", by=people.carol.viewer)
    db.session.rollback()
    append("other.done", by=people.carol.viewer)
    db.session.commit()
    assert [entry.action for entry in db.session.query(AuditEntry)] == ["other.done"]
    assert breaks() == []


@pytest.mark.thorough
def test_many_writers_make_one_chain(app, people):
    def write(number):
        with app.app_context():
            for _ in range(5):
                append("thing.done", by=people.carol.viewer, object_id=number)
                db.session.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert breaks() == []
    assert Counter(entry.object_id for entry in db.session.query(AuditEntry)) == dict.fromkeys(range(8), 5)
