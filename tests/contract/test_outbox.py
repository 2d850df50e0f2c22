"""The outbox and the drain on both databases: what one keeps the other keeps, also under several workers at once."""

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from indexer import claims, sync, verify
from portal import outbox
from portal.extensions import db, now
from portal.knowledge.models import Article
from portal.outbox import OutboxRow
from portal.search import indices
from portal.search.indices import BuildUnderWay
from portal.vocabulary import words
from tests.indexer.conftest import build_index, change, remove, save_article, save_articles
from tests.indexer.memory_engine import MemoryEngine


@pytest.fixture
def settings(database_settings):
    return database_settings


@pytest.fixture
def engine(app):
    made = MemoryEngine()
    build_index(made)
    return made


def in_threads(app, *works):
    """Run each in a thread with an application context and a session of its own; raise what any of them raised."""
    failures = []

    def run(work):
        try:
            with app.app_context():
                work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_record_counts_up_and_survives_the_object(engine):
    article = save_article("one")
    change(article, "two")
    remove(article)
    assert outbox.version_of("article", 1) == (3, 0)
    sync.drain(engine, "worker")
    assert engine.held() == {"article:1": (3, True)}


def test_a_sweeping_change_is_one_statement_and_bulk(engine):
    save_articles(50)
    sync.drain(engine, "worker")
    outbox.record_where("article", select(Article.id).where(Article.id <= 30))
    db.session.commit()
    assert outbox.pending_count() == 30
    assert claims.claim("w", limit=100, is_bulk=False) == []
    assert len(claims.claim("w", limit=100, is_bulk=True)) == 30


def test_recording_above_takes_the_higher_of_both_versions(engine):
    save_article("one")
    outbox.record_above([("article", 1, 0), ("article", 77, 4)])
    outbox.record_above([("article", 1, 9)])
    db.session.commit()
    assert outbox.version_of("article", 1) == (10, 0)
    assert outbox.version_of("article", 77) == (5, 0)


def test_statistics(engine):
    save_articles(3)
    [first, *_] = claims.claim("w", limit=1, is_bulk=False)
    claims.postpone("w", first, until=now() + timedelta(hours=1), reason="refused")
    claims.claim("w", limit=1, is_bulk=False)
    counts = outbox.statistics()
    assert (counts.objects, counts.pending, counts.set_aside, counts.leased) == (3, 3, 1, 1)
    assert 0 <= counts.oldest_pending_s < 60
    assert outbox.retry_set_aside() == 1


@pytest.mark.thorough
def test_several_workers_never_hold_one_row_at_a_time(app, engine):
    save_articles(300)
    taken = Counter()

    def work(holder):
        while mine := claims.claim(holder, limit=7, is_bulk=False):
            taken.update(claim.object_id for claim in mine)
            claims.settle(holder, mine)

    in_threads(app, *(lambda holder=f"w{n}": work(holder) for n in range(4)))
    assert len(taken) == 300
    assert set(taken.values()) == {1}
    db.session.rollback()
    assert outbox.pending_count() == 0


@pytest.mark.thorough
def test_writers_and_workers_at_once_end_with_an_equal_index(app, engine):
    save_articles(40)

    def write(start):
        for n in range(15):
            article = db.session.get_one(Article, start + n % 10)
            change(article, f"{start} {n}")
            save_article(f"new {start} {n}", slug=f"new-{start}-{n}")

    def work(holder):
        for _ in range(12):
            sync.drain(engine, holder)

    in_threads(
        app,
        *(lambda start=start: write(start) for start in (1, 11, 21)),
        *(lambda holder=holder: work(holder) for holder in ("one", "two")),
    )
    db.session.execute(update(OutboxRow).values(leased_until=None))
    db.session.commit()
    sync.drain(engine, "last")
    found = verify.compare(engine, engine.live)
    assert (found.checked, found.differs, found.pending) == (40 + 45, False, 0)


@pytest.mark.thorough
def test_a_rebuild_and_its_comparison(engine):
    articles = save_articles(30)
    remove(articles[3])
    sync.drain(engine, "worker")
    name = indices.request_build(engine=engine.name, prefix="test").name
    with pytest.raises(BuildUnderWay):
        indices.request_build(engine=engine.name, prefix="test")
    build_index(engine)
    assert engine.live == name
    assert not verify.compare(engine, name).differs
    del engine.documents()["article:9"]
    assert verify.compare(engine, name, is_repair=True).missing == 1
    sync.drain(engine, "worker")
    assert not verify.compare(engine, name).differs


def test_an_idle_sweep_uses_the_small_index(app, engine):
    """However many objects there are, the pending ones are found without walking over the others."""
    save_articles(200)
    sync.drain(engine, "worker")
    is_postgresql = db.engine.dialect.name == "postgresql"
    explain = "EXPLAIN QUERY PLAN "
    if is_postgresql:
        explain = "EXPLAIN "
        db.session.execute(db.text("SET enable_seqscan = off"))
    sweep = "SELECT 1 FROM outbox WHERE version > indexed_version AND is_bulk IS false ORDER BY changed_at LIMIT 1"
    plan = db.session.execute(db.text(explain + sweep)).all()
    assert "ix_outbox_pending" in " ".join(str(line) for line in plan)


@pytest.mark.parametrize(
    "let_go",
    [
        lambda taken: claims.release_all("w"),
        lambda taken: claims.release("w", taken),
        lambda taken: claims.settle("w", taken),
    ],
)
def test_a_worker_and_a_save_of_many_lock_in_one_order(app, engine, let_go):
    """A save holds the first row and wants the second; a worker that held the second first would end one of them."""
    if db.engine.dialect.name != "postgresql":
        return
    save_articles(3)
    taken = claims.claim("w", limit=10, is_bulk=False)
    # PostgreSQL moves a changed row behind the others: whoever locks as rows lie takes the first one last.
    for number in (3, 2, 1):
        db.session.execute(update(OutboxRow).where(OutboxRow.object_id == number).values(attempts=1))
        db.session.commit()
    with db.engine.connect() as save:
        touch = update(OutboxRow).values(is_bulk=True)
        save.execute(touch.where(OutboxRow.object_id == 1))
        worker = threading.Thread(target=in_threads, args=(app, lambda: let_go(taken)))
        worker.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            until = time.monotonic() + 60
            while not watch.scalar(waits):
                assert time.monotonic() < until, "the worker waits for nobody"
                time.sleep(0.01)
        save.execute(touch.where(OutboxRow.object_id == 2))
        save.execute(touch.where(OutboxRow.object_id == 3))
        save.commit()
        worker.join(60)
    assert not worker.is_alive()
    assert db.session.scalars(select(OutboxRow.leased_by).where(OutboxRow.leased_by.is_not(None))).all() == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_settling_beside_a_sweeping_change_keeps_to_one_order(app, engine):
    """What a worker could not settle it lets go of; it must not hold later rows while it waits for an earlier one."""
    save_articles(3)
    mine = claims.claim("worker", limit=3, is_bulk=False)
    outbox.record_where("article", select(Article.id).where(Article.id == 1))
    db.session.commit()
    outbox.record_where("article", select(Article.id).where(Article.id == 1))

    def settle():
        with app.app_context():
            assert claims.settle("worker", mine) == 2

    settling = threading.Thread(target=settle)
    settling.start()
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as onlooker:
        deadline = time.monotonic() + 60
        while not onlooker.scalar(waiting):
            assert time.monotonic() < deadline, "the worker never came to wait for the first row"
            time.sleep(0.05)
    # PostgreSQL refuses one of two that wait for each other; this one would be it, or the worker.
    outbox.record_where("article", select(Article.id).where(Article.id == 3))
    db.session.commit()
    settling.join(60)
    assert not settling.is_alive()
    assert claims.claim("another", limit=3, is_bulk=True) != []


def test_words_sweep_over_kinds_in_the_order_in_which_workers_lock_them():
    for uses in words.USES.values():
        kinds = [kind for kind, *_ in uses]
        assert kinds == sorted(kinds)
