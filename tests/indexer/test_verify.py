"""Comparing the index with SQL: what was planted by hand is found, what is on its way is not taken for a difference."""

import pytest
from sqlalchemy import delete, insert

from indexer import sync, verify
from portal import outbox
from portal.extensions import db
from portal.knowledge.models import Article
from portal.outbox import OutboxRow
from portal.search.document import Document, Tombstone
from tests.indexer.conftest import change, remove, save_article, save_articles


def figures(found):
    return (found.missing, found.stale, found.orphaned)


def foreign(name, version=3):
    return Document(id=name, version=version, kind="faq", readers=frozenset({"public"}), title="nobody knows it")


@pytest.fixture
def compare(engine):
    def compare(**options):
        return verify.compare(engine, engine.live, **options)

    return compare


@pytest.fixture
def ten(engine, drain):
    articles = save_articles(10)
    drain()
    return articles


def test_an_index_that_equals_sql_has_no_differences(ten, compare):
    found = compare()
    assert (found.checked, figures(found), found.differs) == (10, (0, 0, 0), False)


def test_planted_differences_are_found_and_named(engine, ten, compare):
    held = engine.documents()
    del held["article:3"]
    held["article:5"] = foreign("article:5", version=0)
    held["article:77"] = foreign("article:77")
    told = []
    found = compare(on_difference=told.append)
    assert figures(found) == (1, 1, 1)
    assert sorted((d.problem.value, d.id) for d in told) == [
        ("missing", "article:3"),
        ("orphaned", "article:77"),
        ("stale", "article:5"),
    ]


def test_a_repair_mends_them_all(engine, ten, compare, drain):
    held = engine.documents()
    del held["article:3"]
    held["article:5"] = foreign("article:5", version=0)
    held["article:6"] = foreign("article:6", version=99)
    held["article:77"] = foreign("article:77")
    assert compare(is_repair=True).repaired == 4
    drain()
    assert not compare().differs
    assert held["article:6"].title == "number 5"
    assert held["article:6"].version == 100, "an index may be ahead of a database that was restored"
    assert isinstance(held["article:77"], Tombstone)


def test_an_object_that_was_never_recorded_is_missing_until_repaired(ten, compare, drain):
    db.session.execute(delete(OutboxRow).where(OutboxRow.object_id == 4))
    db.session.commit()
    del_found = compare()
    assert figures(del_found) == (1, 0, 0)
    compare(is_repair=True)
    drain()
    assert not compare().differs


def test_pending_rows_are_counted_apart(ten, compare):
    change(ten[0], "changed")
    save_article("new")
    found = compare()
    assert (figures(found), found.pending) == ((0, 0, 0), 2)


def test_what_was_set_aside_is_counted_apart(engine, ten, compare, drain):
    engine.poisonous = {"article:1"}
    change(ten[0], "poison")
    drain()
    found = compare()
    assert (figures(found), found.pending, found.set_aside) == ((0, 0, 0), 0, 1)


def test_a_tombstone_is_as_good_as_none(engine, ten, compare, drain):
    remove(ten[0])
    drain()
    assert not compare().differs
    del engine.documents()["article:1"]
    assert not compare().differs, "a rebuild leaves old tombstones out"
    engine.documents()["article:500"] = Tombstone(id="article:500", version=3)
    assert not compare().differs


def test_a_deleted_article_that_is_still_found_is_stale(engine, ten, compare, drain):
    before = engine.documents()["article:1"]
    remove(ten[0])
    drain()
    engine.documents()["article:1"] = before
    assert figures(compare()) == (0, 1, 0)


@pytest.mark.parametrize("name", ["nonsense", "article:", "article:x", ":7", "article:99999999999999999999"])
def test_an_id_that_is_no_id_is_an_orphan(engine, ten, compare, name):
    engine.documents()[name] = foreign(name)
    assert figures(compare(is_repair=True)) == (0, 0, 1)


@pytest.mark.thorough
def test_writes_during_the_comparison_are_no_differences(engine, ten, compare, monkeypatch):
    """Between the looks everything is changed, drained, deleted or made: none of it may be reported."""
    monkeypatch.setattr(verify, "AT_ONCE", 3)
    rounds = iter(range(100))

    def breathe():
        n = next(rounds)
        change(ten[n % 10], f"changed {n}")
        save_article(f"made {n}")
        if n == 4:
            remove(ten.pop())
            ten.append(save_article("in its place"))
        sync.drain(engine, "worker-2")

    assert not compare(breathe=breathe).differs
    assert next(rounds) > 8


@pytest.mark.thorough
def test_a_difference_is_found_in_the_midst_of_writes(engine, ten, compare, monkeypatch):
    monkeypatch.setattr(verify, "AT_ONCE", 3)
    del engine.documents()["article:2"]
    rounds = iter(range(100))

    def breathe():
        change(ten[5], f"changed {next(rounds)}")
        sync.drain(engine, "worker-2")

    assert figures(compare(breathe=breathe)) == (1, 0, 0)


@pytest.mark.thorough
def test_the_number_of_queries_does_not_grow_with_the_differences(engine, app, count_queries):
    db.session.execute(
        insert(Article),
        [{"kind": "faq", "title": f"n {n}", "slug": f"n-{n}", "version": 1, "state": "published"} for n in range(1500)],
    )
    db.session.commit()
    verify.record_unrecorded()
    sync.drain(engine, "worker")
    engine.documents().clear()
    with count_queries() as counted:
        assert verify.compare(engine, engine.live, is_repair=True).missing == 1500
    assert counted() < 60


def test_recording_what_is_unrecorded_touches_nothing_else(ten):
    db.session.execute(delete(OutboxRow).where(OutboxRow.object_id == 4))
    db.session.commit()
    verify.record_unrecorded()
    assert outbox.version_of("article", 4) == (1, 0)
    assert outbox.version_of("article", 5) == (1, 1)
