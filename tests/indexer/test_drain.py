"""Draining the outbox: what is pending is written once, whoever claims it and whatever goes wrong."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from indexer import claims, sync
from indexer.sync import Ended
from portal import outbox
from portal.extensions import db, now
from portal.outbox import OutboxRow
from portal.search.document import Document, Tombstone
from portal.search.engine import EngineBusy, EngineDown, EngineLocked
from tests.indexer.conftest import HOLDER, change, remove, save_article, save_articles


def make_due() -> None:
    """Let everything that waits for a later try be due now."""
    db.session.execute(update(OutboxRow).values(not_before=None))
    db.session.commit()


def test_a_saved_article_is_in_the_index_with_its_version(engine, drain):
    article = save_article("Printer jams")
    change(article, "Printers jam")
    report = drain()
    document = engine.documents()["article:1"]
    assert isinstance(document, Document)
    assert (document.title, document.version) == ("Printers jam", 2)
    assert (report.settled, report.ended) == (1, Ended.EMPTY)
    assert outbox.version_of("article", article.id) == (2, 2)
    assert drain().settled == 0


def test_a_deleted_article_becomes_a_tombstone(engine, drain):
    article = save_article("Printer jams")
    drain()
    remove(article)
    drain()
    assert engine.documents()["article:1"] == Tombstone(id="article:1", version=2)
    assert outbox.pending_count() == 0


def test_a_change_during_the_write_stays_pending_and_is_written_next(engine, drain):
    article = save_article("one")

    def change_meanwhile(step):
        if step == "write":
            engine.before = lambda _: None
            change(article, "two")

    engine.before = change_meanwhile
    drain()
    assert engine.documents()["article:1"].title == "two"
    assert outbox.version_of("article", article.id) == (2, 2)


def test_what_was_written_but_not_committed_is_not_settled(engine):
    save_article("one")

    def fail(step):
        if step == "commit":
            raise EngineDown("The disk is full.")

    engine.before = fail
    report = sync.drain(engine, HOLDER)
    assert (report.ended, report.settled, report.trouble) == (Ended.DOWN, 0, "The disk is full.")
    engine.crash()
    engine.before = lambda _: None
    assert sync.drain(engine, "another").settled == 1


@pytest.mark.parametrize(("error", "ended"), [(EngineBusy, Ended.BUSY), (EngineDown, Ended.DOWN)])
def test_trouble_gives_the_rows_back_at_once(engine, drain, error, ended):
    save_article("one")

    def fail(step):
        if step == "write":
            raise error("Not now.")

    engine.before = fail
    assert drain().ended is ended
    engine.before = lambda _: None
    assert sync.drain(engine, "another").settled == 1


def test_a_locked_index_is_told_to_the_caller_and_holds_no_rows(engine, drain):
    save_article("one")

    def fail(step):
        if step == "write":
            raise EngineLocked("Process 7 writes it.")

    engine.before = fail
    with pytest.raises(EngineLocked):
        drain()
    engine.before = lambda _: None
    assert sync.drain(engine, "another").settled == 1


def test_one_poisonous_document_is_set_aside_and_named_and_the_others_go_through(engine, drain):
    articles = save_articles(20)
    engine.poisonous = {f"article:{articles[7].id}"}
    report = drain()
    assert (report.settled, report.set_aside) == (19, 1)
    assert outbox.statistics().set_aside == 1
    [row] = outbox.set_aside_rows()
    assert (row.object_id, row.last_error, row.attempts) == (articles[7].id, "it is poisonous", 1)
    assert row.not_before > now() + timedelta(seconds=30)
    assert drain().set_aside == 0, "it waits before it is tried again"
    make_due()
    drain()
    assert outbox.set_aside_rows()[0].not_before > now() + timedelta(minutes=3), "each time longer"


def test_a_document_that_was_mended_leaves_the_set_aside(engine, drain):
    article = save_article("bad")
    engine.poisonous = {"article:1"}
    drain()
    engine.poisonous = set()
    change(article, "good")
    drain()
    assert outbox.statistics().set_aside == 0
    assert engine.documents()["article:1"].title == "good"


def test_everything_set_aside_can_be_tried_again_at_once(engine, drain):
    save_article("bad")
    engine.poisonous = {"article:1"}
    drain()
    engine.poisonous = set()
    assert outbox.retry_set_aside() == 1
    db.session.commit()
    assert drain().settled == 1


def test_an_object_that_cannot_be_shaped_is_set_aside_without_its_content(engine, drain):
    save_article("fine")
    broken = save_article("broken", sections=["a secret that is no section"])
    drain()
    [row] = outbox.set_aside_rows()
    assert row.object_id == broken.id
    assert "secret" not in row.last_error
    assert "article:1" in engine.documents()


def test_a_document_the_engine_has_no_room_for_is_put_off_and_not_set_aside(engine, drain):
    save_article("one")
    engine.busy = {"article:1"}
    assert drain().put_off == 1
    assert outbox.statistics().set_aside == 0
    engine.busy = set()
    make_due()
    assert drain().settled == 1


def test_single_saves_overtake_an_import(engine, drain, monkeypatch):
    imported = save_articles(5)
    outbox.record(*imported, bulk=True)
    db.session.commit()
    save_article("urgent")
    written = []
    monkeypatch.setattr(
        sync, "write_everywhere", lambda *a, real=sync.write_everywhere: written.append(len(a[2])) or real(*a)
    )
    drain()
    assert written == [1, 5]


def test_a_single_save_overtakes_an_import_that_is_being_written(engine, drain, monkeypatch):
    monkeypatch.setattr(sync, "DRAINED_ROWS", 10)
    outbox.record(*save_articles(30), bulk=True)
    db.session.commit()
    real, written = sync.write_everywhere, []

    def write(engine, indices, part):
        written.append(len(part))
        if len(written) == 1:
            save_article("urgent")
        return real(engine, indices, part)

    monkeypatch.setattr(sync, "write_everywhere", write)
    assert drain().settled == 31
    assert written == [10, 1, 10, 10]
    assert outbox.statistics().pending == 0


def test_two_workers_share_the_rows(engine):
    save_articles(10)
    first = claims.claim("one", limit=6, is_bulk=False)
    second = claims.claim("two", limit=6, is_bulk=False)
    assert (len(first), len(second)) == (6, 4)
    assert not {c.object_id for c in first} & {c.object_id for c in second}


def test_a_dead_workers_rows_come_back_when_its_lease_ends(engine, drain):
    save_article("one")
    assert len(claims.claim("dead", limit=10, is_bulk=False)) == 1
    assert drain().settled == 0
    db.session.execute(update(OutboxRow).values(leased_until=now() - timedelta(seconds=1)))
    db.session.commit()
    assert drain().settled == 1


def test_a_worker_that_was_thought_dead_settles_nothing_that_another_took(engine):
    article = save_article("one")
    late = claims.claim("late", limit=10, is_bulk=False)
    db.session.execute(update(OutboxRow).values(leased_until=now() - timedelta(seconds=1)))
    db.session.commit()
    taken = claims.claim("other", limit=10, is_bulk=False)
    assert claims.settle("late", late) == 0
    assert outbox.version_of("article", article.id) == (1, 0)
    assert claims.settle("other", taken) == 1


def test_an_unknown_kind_becomes_a_tombstone_and_stops_nothing(engine, drain):
    outbox.record_above([("gadget", 5, 0)])
    db.session.commit()
    drain()
    assert engine.held() == {"gadget:5": (1, True)}


def test_without_any_index_nothing_is_lost(engine, drain):
    save_article("one")
    engine.live = None
    assert drain().ended is Ended.NO_INDEX
    assert outbox.pending_count() == 1


def test_a_stop_ends_the_drain_between_batches(engine):
    save_article("one")
    assert sync.drain(engine, HOLDER, is_stopped=lambda: True).ended is Ended.STOPPED
    assert outbox.pending_count() == 1


def test_parts_are_bounded_by_size(monkeypatch):
    monkeypatch.setattr(sync, "WRITE_BYTES", 10_000)
    big = [
        Document(id=f"article:{n}", version=1, kind="faq", readers=frozenset(), title="t", body="x" * 2000)
        for n in range(6)
    ]
    assert [len(part) for part in sync.in_parts(iter(big))] == [2, 2, 2]


def test_what_a_killed_process_of_this_machine_held_comes_back_at_once(engine, drain):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = claims.make_holder("worker").replace(f":{os.getpid()}:", f":{process.pid}:")
    alive, elsewhere = claims.make_holder("worker"), "worker@another-machine:1:abcdef"
    assert [claims.is_gone(holder) for holder in (dead, alive, elsewhere, "nonsense", "a@b")] == [
        True,
        False,
        False,
        False,
        False,
    ]
    save_articles(9)
    for holder in (dead, alive, elsewhere):
        assert len(claims.claim(holder, limit=3, is_bulk=False)) == 3
    assert claims.release_of_the_gone() == 1
    assert drain().settled == 3
