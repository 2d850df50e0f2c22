"""Whatever the order in which workers claim, write, sleep, die and settle: in the end the index equals SQL."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as habits
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update

from indexer import claims, rebuild, sync, verify
from indexer.documents import build_batch
from indexer.rebuild import Rebuild
from indexer.verify import chunks
from portal import outbox
from portal.extensions import db, now
from portal.knowledge.models import Article
from portal.outbox import OutboxRow
from portal.search import indices
from portal.search.document import Document
from portal.search.models import IndexBuild
from portal.search.results import Outcome
from tests.indexer.conftest import build_index, change, remove, save_article
from tests.indexer.memory_engine import MemoryEngine

WORKERS = ("one", "two", "three")
STORIES = {"sqlite": 5, "postgresql": 20}
"""How many are told on each database: most where workers lock rows and not the whole file."""


class Deliveries(RuleBasedStateMachine):
    """Workers whose steps are pulled apart, so that anything can happen between two of them."""

    make_engine = MemoryEngine
    claimed = Bundle("claimed")
    shaped = Bundle("shaped")
    written = Bundle("written")

    @initialize()
    def begin(self):
        db.session.rollback()
        for table in (Article.__table__, OutboxRow.__table__, IndexBuild.__table__):
            db.session.execute(delete(table))
        db.session.commit()
        self.saved = 0
        self.engine = self.make_engine()
        build_index(self.engine)
        self.working: dict[tuple[str, int], str] = {}
        self.save()

    @rule()
    def save(self):
        self.saved += 1
        save_article(f"new {self.saved}", slug=f"new-{self.saved}")

    @rule(n=st.integers(0, 9))
    def change(self, n):
        articles = db.session.scalars(select(Article).order_by(Article.id)).all()
        if articles:
            self.saved += 1
            change(articles[n % len(articles)], f"changed {self.saved}")

    @rule(n=st.integers(0, 9))
    def remove(self, n):
        articles = db.session.scalars(select(Article).order_by(Article.id)).all()
        if articles:
            remove(articles[n % len(articles)])

    @rule(target=claimed, worker=st.sampled_from(WORKERS), limit=st.integers(1, 5))
    def claim(self, worker, limit):
        taken = claims.claim(worker, limit=limit, is_bulk=False)
        for one in taken:
            # Nobody gets what another holds a lease on: a slow engine would have each document from each worker.
            assert self.working.get((one.kind, one.object_id), worker) == worker, f"{one} has two workers"
            self.working[one.kind, one.object_id] = worker
        return worker, taken

    @rule(target=shaped, claim=consumes(claimed))
    def shape(self, claim):
        worker, taken = claim
        indices_then = sync.kept_indices(self.engine)
        return worker, taken, indices_then, list(build_batch("article", {c.object_id: c.version for c in taken}))

    @rule(target=shaped, worker=st.sampled_from(WORKERS))
    def oversleep(self, worker):
        """Claim and shape, and sleep until the lease is over: what is in hand will be written late, if ever."""
        taken = claims.claim(worker, limit=5, is_bulk=False)
        self.end_leases()
        return Deliveries.shape(self, (worker, taken))

    @rule(n=st.integers(0, 9), is_removed=st.booleans(), worker=st.sampled_from(WORKERS))
    def overtake(self, n, is_removed, worker):
        """Change or remove something, and bring it into the index at once."""
        (self.remove if is_removed else self.change)(n)
        self.drain(worker)

    @rule(target=written, shape=shaped)
    def write(self, shape):
        """The batch is not used up: it may be delivered again, much later."""
        worker, taken, to, batch = shape
        worst = [Outcome.DONE]
        for index in to:
            if index in self.engine.durable:
                worst += [outcome.outcome for outcome in self.engine.write(index, batch)]
                self.engine.commit(index)
        assert set(worst) <= {Outcome.DONE, Outcome.SUPERSEDED}
        return worker, taken

    @rule(write=consumes(written))
    def settle(self, write):
        worker, taken = write
        claims.settle(worker, taken)
        for one in taken:
            if self.working.get((one.kind, one.object_id)) == worker:
                del self.working[one.kind, one.object_id]

    @rule()
    def let_leases_end(self):
        self.end_leases()

    def end_leases(self):
        self.working.clear()
        past = now() - timedelta(seconds=1)
        db.session.execute(update(OutboxRow).where(OutboxRow.leased_by.is_not(None)).values(leased_until=past))
        db.session.execute(update(IndexBuild).where(IndexBuild.leased_by.is_not(None)).values(leased_until=past))
        db.session.commit()

    @rule(worker=st.sampled_from(WORKERS))
    def drain(self, worker):
        sync.drain(self.engine, worker)

    @rule()
    def ask_for_a_rebuild(self):
        if indices.build_under_way() is None:
            indices.request_build(engine=self.engine.name, prefix=f"asked-{self.saved}")

    @rule(worker=st.sampled_from(WORKERS), steps=st.integers(1, 4))
    def go_on_with_the_rebuild(self, worker, steps):
        work = Rebuild(self.engine, f"builder {worker}", "test", breathe=lambda: sync.drain(self.engine, worker))
        for _ in range(steps):
            if not work.step():
                break

    @rule()
    def repair(self):
        verify.compare(self.engine, self.engine.live, is_repair=True)

    @invariant()
    def what_is_settled_stands_in_the_index(self):
        if hasattr(self, "engine") and self.engine.live is not None:
            assert not verify.compare(self.engine, self.engine.live).differs

    def teardown(self):
        self.end_leases()
        build_index(self.engine, holder="last", breathe=lambda: sync.drain(self.engine, "last"))
        sync.drain(self.engine, "last")
        found = verify.compare(self.engine, self.engine.live)
        assert not found.differs
        assert found.pending == 0
        titles = dict(db.session.execute(select(Article.id, Article.title)).all())
        held = self.engine.documents()
        assert {f"article:{n}": title for n, title in titles.items()} == {
            name: item.title for name, item in held.items() if isinstance(item, Document)
        }
        assert outbox.statistics().set_aside == 0


@pytest.fixture
def settings(database_settings):
    return database_settings


@pytest.mark.thorough
@pytest.mark.usefixtures("app")
def test_any_order_of_deliveries_ends_with_an_equal_index(monkeypatch):
    # However slow the machine is: leases end when the machine of states lets them.
    monkeypatch.setattr(claims, "LEASE", timedelta(hours=1))
    monkeypatch.setattr(rebuild, "LOADED_ROWS", 2)
    monkeypatch.setattr(rebuild, "ROWS_A_COMMIT", 3)
    run_state_machine_as_test(
        Deliveries,
        settings=habits(
            max_examples=STORIES[db.engine.dialect.name],
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


def test_chunks_cut_a_stream():
    assert list(chunks(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
