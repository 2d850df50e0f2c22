"""Building a new index: beside the live one, under writes, through deaths at any step, to zero differences."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from indexer import rebuild, sync, verify
from indexer.rebuild import Rebuild
from portal import outbox
from portal.extensions import db, now
from portal.outbox import OutboxRow
from portal.search import indices
from portal.search.document import Document
from portal.search.engine import EngineBusy
from portal.search.indices import BuildUnderWay
from portal.search.models import IndexBuild
from tests.indexer.conftest import HOLDER, build_index, change, remove, save_article, save_articles
from tests.indexer.memory_engine import MemoryEngine


class Death(BaseException):
    """What happens to a process that is killed: nothing of ours may catch it."""


def ask(engine):
    return indices.request_build(engine=engine.name, prefix="test").name


def states():
    return dict(db.session.execute(select(IndexBuild.name, IndexBuild.state)).all())


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(rebuild, "LOADED_ROWS", 4)
    monkeypatch.setattr(rebuild, "ROWS_A_COMMIT", 8)
    monkeypatch.setattr(verify, "AT_ONCE", 5)


@pytest.fixture
def thirty(engine, drain):
    articles = save_articles(30)
    remove(articles.pop())
    drain()
    return articles


@pytest.mark.thorough
def test_a_new_index_replaces_the_live_one_which_is_kept(engine, thirty):
    old = engine.live
    new = ask(engine)
    build_index(engine)
    assert engine.live == new
    assert states()[old] == "previous"
    assert states()[new] == "live"
    assert len(engine.documents()) == 30, "29 articles and a fresh tombstone"
    assert not verify.compare(engine, new).differs


@pytest.mark.thorough
def test_the_index_before_the_previous_one_goes(engine, thirty):
    first = engine.live
    ask(engine)
    build_index(engine)
    ask(engine)
    build_index(engine)
    assert states()[first] == "dropped"
    assert first not in engine.durable
    assert len(engine.durable) == 2


def test_a_previous_index_is_dropped_when_told(engine, thirty):
    old = engine.live
    ask(engine)
    build_index(engine)
    build_id = db.session.scalar(select(IndexBuild.id).where(IndexBuild.name == old))
    assert indices.request_drop(build_id)
    rebuild.drop_requested(engine)
    assert old not in engine.durable
    assert not indices.request_drop(build_id)


def test_the_live_index_cannot_be_dropped(engine):
    build_id = db.session.scalar(select(IndexBuild.id).where(IndexBuild.name == engine.live))
    assert not indices.request_drop(build_id)


def test_there_are_never_two_rebuilds(engine):
    ask(engine)
    with pytest.raises(BuildUnderWay):
        ask(engine)


def test_the_database_itself_refuses_a_second_rebuild(engine, monkeypatch):
    ask(engine)
    monkeypatch.setattr(indices, "build_under_way", lambda: None)
    with pytest.raises(BuildUnderWay):
        ask(engine)


def test_a_second_process_leaves_the_build_to_the_first_until_its_lease_ends(engine, thirty, small_steps):
    ask(engine)
    one, two = Rebuild(engine, "one", "test"), Rebuild(engine, "two", "test")
    assert one.step()
    assert not two.step()
    db.session.execute(update(IndexBuild).values(leased_until=now() - timedelta(seconds=1)))
    db.session.commit()
    assert two.step()
    assert one.take() is None


@pytest.mark.thorough
def test_changes_during_the_build_reach_both_indices(engine, thirty, small_steps):
    old, new = engine.live, ask(engine)
    work = Rebuild(engine, "builder", "test", breathe=lambda: sync.drain(engine, HOLDER))
    steps = 0
    while work.step():
        change(thirty[steps % 5], f"changed at step {steps}")
        change(thirty[-1 - steps % 5], f"changed at step {steps}")
        remove(thirty.pop(10))
        save_article(f"made at step {steps}")
        steps += 1
        sync.drain(engine, HOLDER)
    assert steps > 8
    assert engine.live == new
    for index in (old, new):
        assert not verify.compare(engine, index).differs
    titles = {item.title for item in engine.documents().values() if isinstance(item, Document)}
    assert titles == set(db.session.scalars(select(type(thirty[0]).title)))


@pytest.mark.thorough
def test_a_worker_that_claimed_before_the_build_began_makes_no_gap(engine, thirty, small_steps, monkeypatch):
    """It claims, sleeps while a build begins and loads past its row, and writes when it wakes."""
    change(thirty[0], "late")
    work = Rebuild(engine, "builder", "test")

    def sleep(step):
        if step == "live_index":
            engine.before = lambda _: None
            ask(engine)
            for _ in range(4):
                work.step()

    engine.before = sleep
    sync.drain(engine, HOLDER)
    while work.step():
        pass
    assert not verify.compare(engine, engine.live).differs
    assert engine.documents()["article:1"].title == "late"


@pytest.mark.thorough
@pytest.mark.parametrize("step", ["create_index", "write", "commit", "swap", "drop", "live_index"])
@pytest.mark.parametrize("nth", [1, 3])
def test_a_death_at_any_step_loses_nothing(engine, thirty, small_steps, step, nth):
    ask(engine)
    left = [nth]

    def die(at):
        if at == step:
            left[0] -= 1
            if left[0] == 0:
                raise Death

    engine.before = die
    try:
        build_index(engine, holder="dead")
    except Death:
        db.session.rollback()
        engine.crash()
    engine.before = lambda _: None
    change(thirty[0], "changed after the death")
    db.session.execute(update(IndexBuild).values(leased_until=now() - timedelta(seconds=1)))
    db.session.commit()
    build_index(engine, holder="heir")
    sync.drain(engine, HOLDER)
    assert sorted(states().values()) == ["live", "previous"]
    assert not verify.compare(engine, engine.live).differs
    assert len(engine.durable) == 2, "nothing is left over"


@pytest.mark.thorough
def test_a_death_between_the_swap_and_its_note_is_taken_up(engine, thirty, monkeypatch):
    new = ask(engine)

    def die(*_):
        raise Death

    monkeypatch.setattr(Rebuild, "_finish", die)
    with pytest.raises(Death):
        build_index(engine)
    monkeypatch.undo()
    assert (engine.live, states()[new]) == (new, "verifying")
    build_index(engine)
    assert states()[new] == "live"


@pytest.mark.thorough
def test_leftovers_are_found_and_removed(engine, thirty):
    engine.create_index("left-over")
    ask(engine)
    build_index(engine)
    assert "left-over" not in engine.durable


@pytest.mark.thorough
def test_a_refused_document_is_set_aside_and_the_rest_is_built(engine, thirty, small_steps):
    engine.poisonous = {"article:3"}
    ask(engine)
    work = Rebuild(engine, "builder", "test", breathe=lambda: sync.drain(engine, HOLDER))
    while work.step():
        pass
    assert states()[engine.live] == "live"
    assert "article:3" not in engine.documents()
    assert [row.object_id for row in outbox.set_aside_rows()] == [3]


@pytest.mark.thorough
def test_old_tombstones_are_left_out(engine, thirty):
    db.session.execute(update(OutboxRow).values(changed_at=now() - timedelta(days=2)))
    db.session.commit()
    ask(engine)
    build_index(engine)
    assert len(engine.documents()) == 29
    assert not verify.compare(engine, engine.live).differs


@pytest.mark.thorough
def test_a_busy_engine_lets_the_same_step_be_tried_again(engine, thirty, small_steps):
    ask(engine)
    work = Rebuild(engine, "builder", "test")
    work.step()

    def busy(step):
        if step == "write":
            engine.before = lambda _: None
            raise EngineBusy("Too many requests.")

    engine.before = busy
    with pytest.raises(EngineBusy):
        work.step()
    while work.step():
        pass
    assert not verify.compare(engine, engine.live).differs


def test_an_index_that_vanishes_while_it_is_filled_fails_the_build_and_not_the_saves(engine, thirty, small_steps):
    old, new = engine.live, ask(engine)
    work = Rebuild(engine, HOLDER, "test")
    work.step()
    del engine.durable[new]
    change(thirty[0], "changed")
    assert sync.drain(engine, HOLDER).settled == 1
    assert states()[new] == "failed"
    assert engine.live == old
    assert not work.step()


@pytest.mark.thorough
def test_objects_without_a_row_are_loaded_too(engine, thirty):
    db.session.execute(OutboxRow.__table__.delete().where(OutboxRow.object_id == 5))
    db.session.commit()
    ask(engine)
    work = Rebuild(engine, "builder", "test", breathe=lambda: sync.drain(engine, HOLDER))
    while work.step():
        pass
    assert "article:5" in engine.documents()
    assert outbox.version_of("article", 5) is not None


def test_an_index_that_sql_does_not_know_is_adopted(app):
    engine = MemoryEngine()
    engine.create_index("from-elsewhere")
    engine.live = "from-elsewhere"
    assert not rebuild.ensure_index(engine, "test")
    assert states() == {"from-elsewhere": "live"}


@pytest.mark.thorough
def test_an_unreadable_index_is_replaced_and_not_kept(engine, thirty):
    old = engine.live
    rebuild.replace_unreadable(engine, "test", "The index cannot be read.")
    build_index(engine)
    assert states()[old] == "dropped"
    assert old not in engine.durable
    assert not verify.compare(engine, engine.live).differs
