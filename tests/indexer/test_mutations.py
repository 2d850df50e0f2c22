"""Each guard of the chain is removed in turn: the machine of `test_deliveries` finds it, and so does one short story.

The stories are the counter-examples that it found, told step by step: each ends well with the guard and badly without.
A machine that finds nothing wrong in a broken indexer would prove nothing of a sound one.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import delete, update

from indexer import claims, rebuild, sync, verify
from indexer.documents import build_batch
from portal.extensions import db, now
from portal.knowledge.models import Article
from portal.outbox import OutboxRow
from portal.search.document import Tombstone
from portal.search.models import IndexBuild
from portal.search.results import Outcome, WriteOutcome
from tests.indexer.conftest import build_index, change, remove, save_article
from tests.indexer.memory_engine import Item, MemoryEngine
from tests.indexer.test_deliveries import Deliveries


class WithoutVersions(MemoryEngine):
    """Writes whatever comes, however old."""

    def _write(self, index: str, item: Item) -> WriteOutcome:
        self.written[index][item.id] = item
        return WriteOutcome(id=item.id, version=item.version, outcome=Outcome.DONE, reason="")


class WithoutTombstones(MemoryEngine):
    """Deletes, and forgets what it deleted, as OpenSearch does after a while."""

    def commit(self, index: str) -> None:
        super().commit(index)
        held = self.durable[index]
        for name in [name for name, item in held.items() if isinstance(item, Tombstone)]:
            del held[name]


def remove_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that are over when they are given."""
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=-1))


def remove_version_from_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a row caught up with whatever version it has by now."""

    def settle(holder, taken):
        for one in taken:
            db.session.execute(
                update(OutboxRow)
                .where(OutboxRow.kind == one.kind, OutboxRow.object_id == one.object_id, OutboxRow.leased_by == holder)
                .values(indexed_version=OutboxRow.version, leased_until=None, leased_by=None)
                .execution_options(synchronize_session=False)
            )
        db.session.commit()
        return len(taken)

    monkeypatch.setattr(claims, "settle", settle)


def leave_everything(_: pytest.MonkeyPatch) -> None:
    """Remove nothing: the engine is what differs."""


REMOVALS: dict[str, tuple[type[MemoryEngine], Callable[[pytest.MonkeyPatch], None]]] = {
    "the version guard": (WithoutVersions, leave_everything),
    "the tombstones": (WithoutTombstones, leave_everything),
    "the lease": (MemoryEngine, remove_leases),
    "the version in settling": (MemoryEngine, remove_version_from_settling),
}


# The machine

MENDING = ("ask_for_a_rebuild", "go_on_with_the_rebuild", "repair")
"""A rebuild or a repair would soon mend what is broken; without these rules it shows sooner."""
ASIDE = {
    "the version guard": (*MENDING, "claim", "shape", "settle", "let_leases_end"),
    "the tombstones": (*MENDING, "claim", "shape", "settle", "let_leases_end"),
    "the lease": MENDING,
    "the version in settling": MENDING,
}
"""Rules that are left out so that few examples, the same ones each time, are enough."""


@pytest.mark.drill
@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("guard", REMOVALS)
def test_the_machine_finds_that_a_guard_is_gone(monkeypatch, guard):
    engine, remove_guard = REMOVALS[guard]
    monkeypatch.setattr(claims, "LEASE", timedelta(hours=1))
    monkeypatch.setattr(rebuild, "LOADED_ROWS", 2)
    monkeypatch.setattr(rebuild, "ROWS_A_COMMIT", 3)
    remove_guard(monkeypatch)
    machine = type("Broken", (Deliveries,), {"make_engine": engine, **dict.fromkeys(ASIDE[guard])})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=150,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                database=None,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            ),
        )


# The stories


def shaped(taken):
    return list(build_batch("article", {one.object_id: one.version for one in taken}))


def write(engine, batch):
    engine.write(engine.live, batch)
    engine.commit(engine.live)


def end_leases():
    past = now() - timedelta(seconds=1)
    db.session.execute(update(OutboxRow).values(leased_until=past))
    db.session.commit()


def is_equal(engine) -> bool:
    end_leases()
    sync.drain(engine, "last")
    return not verify.compare(engine, engine.live).differs


def a_worker_sleeps_and_writes_what_is_old(engine) -> bool:
    """It claims and reads; while it sleeps another writes a newer version; it wakes and writes the old one."""
    article = save_article("old")
    late = shaped(claims.claim("one", limit=1, is_bulk=False))
    end_leases()
    change(article, "new")
    sync.drain(engine, "two")
    write(engine, late)
    return is_equal(engine)


def a_worker_sleeps_and_writes_what_is_deleted(engine) -> bool:
    """It claims and reads; while it sleeps the article is deleted and another worker tells the engine; it wakes."""
    article = save_article("soon deleted")
    late = shaped(claims.claim("one", limit=1, is_bulk=False))
    end_leases()
    remove(article)
    sync.drain(engine, "two")
    write(engine, late)
    return is_equal(engine)


def two_workers_look_for_work(engine) -> bool:
    """The second finds nothing while the first is at work."""
    save_article("the only one")
    taken = [claims.claim(worker, limit=5, is_bulk=False) for worker in ("one", "two")]
    return [len(some) for some in taken] == [1, 0]


def an_article_is_saved_while_it_is_written(engine) -> bool:
    """Between reading it and settling it, somebody saves it once more."""
    article = save_article("first")
    taken = claims.claim("one", limit=1, is_bulk=False)
    write(engine, shaped(taken))
    change(article, "second")
    claims.settle("one", taken)
    return is_equal(engine)


STORIES: dict[str, Callable[[MemoryEngine], bool]] = {
    "the version guard": a_worker_sleeps_and_writes_what_is_old,
    "the tombstones": a_worker_sleeps_and_writes_what_is_deleted,
    "the lease": two_workers_look_for_work,
    "the version in settling": an_article_is_saved_while_it_is_written,
}


@pytest.mark.thorough
@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("guard", REMOVALS)
def test_a_story_ends_well_with_the_guard_and_badly_without(monkeypatch, guard):
    engine, remove_guard = REMOVALS[guard]
    sound = MemoryEngine()
    build_index(sound)
    assert STORIES[guard](sound)
    for table in (Article.__table__, OutboxRow.__table__, IndexBuild.__table__):
        db.session.execute(delete(table))
    db.session.commit()
    broken = engine()
    remove_guard(monkeypatch)
    build_index(broken)
    assert not STORIES[guard](broken)
