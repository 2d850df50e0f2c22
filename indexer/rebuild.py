"""Build a new index beside the live one, in small steps kept in SQL, so that any process can die at any of them.

requested → loading → draining → verifying → live.  From `loading` on every change is written to both indices.  Loading
walks the outbox by its key and reads each version before its object, so it can never write over something newer.
Whoever works on a build holds its lease; another takes up at the kept cursor when the lease runs out.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, case, func, or_, select, update

from indexer import claims, verify
from indexer.documents import KINDS, Refusal, build_batch, document_id
from indexer.shaping import MOST_PROCESSES, Shaped, ShaperDied, Shapers, processors
from indexer.sync import in_parts
from portal import outbox
from portal.extensions import count_affected, db, is_over, now
from portal.outbox import OutboxRow
from portal.search.document import Document, Ready, Tombstone
from portal.search.engine import BadQuery, SearchEngine
from portal.search.indices import BuildUnderWay, build_under_way, request_build
from portal.search.models import BUILDING, IndexBuild
from portal.search.results import Outcome

log = logging.getLogger("casebook.indexer")

LEASE = timedelta(seconds=60)
LOADED_ROWS = 500
SHAPED_BESIDE = 10_000
"""From so many objects on a build is worth processes of its own."""
ROWS_A_COMMIT = 20_000
TOMBSTONE_AGE = timedelta(days=1)
"""Longer than any writer can be late; older tombstones guard against nothing."""
MOST_PASSES = 5

Breathe = Callable[[], None]


class Rebuild:
    """One process's work on the build that is under way."""

    def __init__(self, engine: SearchEngine, holder: str, prefix: str, *, breathe: Breathe = lambda: None) -> None:
        self._engine = engine
        self._holder = holder
        self._prefix = prefix
        self._breathe = breathe
        self._since_commit = 0
        self._at: dict[str, int] | None = None
        self._finished: set[str] = set()
        self._ahead: _Ahead | None = None
        self._build_id: int | None = None

    def take(self) -> IndexBuild | None:
        """Take, or keep, the lease of the build under way; None where there is none or another process has it."""
        build = build_under_way()
        if build is None:
            self._put_down()
            db.session.rollback()
            return None
        gone = build.leased_by is not None and claims.is_gone(build.leased_by)
        taken = db.session.execute(
            update(IndexBuild)
            .where(
                IndexBuild.id == build.id,
                IndexBuild.state.in_(BUILDING),
                or_(
                    IndexBuild.leased_until.is_(None),
                    is_over(IndexBuild.leased_until, longest=LEASE),
                    self._is_mine(),
                    IndexBuild.leased_by == (build.leased_by if gone else None),
                ),
            )
            .values(leased_by=self._holder, leased_until=now() + LEASE)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()
        if count_affected(taken) == 0:
            self._put_down()
            return None
        if self._build_id != build.id:
            # What another process wrote after its last commit is not in the index: begin at the kept cursor.
            self._put_down()
            self._build_id = build.id
        return build_under_way()

    def let_go(self) -> None:
        """Give the lease back, so that another process can go on at once."""
        self._put_down()
        db.session.execute(
            update(IndexBuild)
            .where(self._is_mine(), IndexBuild.state.in_(BUILDING))
            .values(leased_by=None, leased_until=None)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()

    def step(self) -> bool:
        """Go one bounded step further; return whether there is more to do here and now.

        Raises:
            EngineError: the engine is down, busy or locked; the same step can be tried again.
        """
        build = self.take()
        if build is None:
            return False
        if self._engine.live_index() == build.name:
            self._finish(build)
            return False
        if build.state == "requested":
            self._prepare(build)
        elif build.state == "loading":
            self._load(build)
        elif build.state == "draining":
            self._set(build, state="verifying")
        else:
            self._verify(build)
        return build_under_way() is not None

    def _prepare(self, build: IndexBuild) -> None:
        """Make the empty index, after clearing away what a killed process left."""
        self._engine.drop(build.name)
        remove_leftovers(self._engine)
        self._engine.create_index(build.name)
        verify.record_unrecorded()
        total = db.session.scalar(select(func.count()).select_from(OutboxRow)) or 0
        self._set(build, state="loading", total=total, done=0, cursor={})
        log.info("The new index %s is being filled with %d documents.", build.name, total)

    def _load(self, build: IndexBuild) -> None:
        """Write the next slice; others are being shaped meanwhile."""
        if self._at is None or self._ahead is None:
            self._at = dict(build.cursor.get("after", {}))
            self._finished = set(build.cursor.get("finished", []))
            self._ahead = _Ahead(self._at, self._finished, self._shapers_for(build))
        piece = self._ahead.first()
        if piece is None:
            self._keep_cursor(build)
            self._put_down()
            self._set(build, state="draining")
            return
        if piece.rows:
            self._write(build, piece)
            self._at[piece.kind] = piece.rows[-1].object_id
            self._since_commit += len(piece.rows)
        if piece.is_last:
            self._finished.add(piece.kind)
        self._ahead.pass_by()
        if self._since_commit >= ROWS_A_COMMIT:
            self._keep_cursor(build)

    def _shapers_for(self, build: IndexBuild) -> Shapers | None:
        count = min(processors(), MOST_PROCESSES)
        if count < 2 or build.total < SHAPED_BESIDE:
            return None
        url = db.engine.url.render_as_string(hide_password=False)
        return Shapers(engine=self._engine.name, database_url=url, count=count)

    def _put_down(self) -> None:
        """Forget what was not written: the kept cursor says where to begin again."""
        if self._ahead is not None:
            self._ahead.close()
        self._ahead, self._at, self._since_commit = None, None, 0

    def _write(self, build: IndexBuild, piece: "_Piece") -> None:
        not_taken: list[str] = []
        for part in in_parts(_items(piece, not_taken)):
            outcomes = self._engine.write(build.name, part)
            not_taken += [o.id for o in outcomes if o.outcome in (Outcome.REFUSED, Outcome.RETRY)]
        if not_taken:
            # Recorded anew, the drain writes them to every kept index, or sets them aside with the reason.
            outbox.record_above([(piece.kind, int(name.partition(":")[2]), 0) for name in not_taken])
            db.session.commit()

    def _keep_cursor(self, build: IndexBuild) -> None:
        """Make durable what was written, and only then note how far it came."""
        self._engine.commit(build.name)
        cursor = {"after": dict(self._at or {}), "finished": sorted(self._finished)}
        done = build.done + self._since_commit
        self._since_commit = 0
        self._set(build, cursor=cursor, done=min(done, build.total))

    def _verify(self, build: IndexBuild) -> None:
        """Compare, mend and drain until nothing differs, then let searches read the new index."""
        for _ in range(MOST_PASSES):
            self._breathe()
            found = verify.compare(self._engine, build.name, breathe=self._breathe_and_hold, is_repair=True)
            if self.take() is None:
                return
            if not found.differs:
                self._swap(build)
                return
            log.warning(
                "The new index differs from SQL (%d missing, %d stale, %d orphaned); it is being mended.",
                found.missing,
                found.stale,
                found.orphaned,
            )
        self._set(
            build,
            state="failed",
            error=f"It still differed from SQL after {MOST_PASSES} comparisons.",
            finished_at=now(),
        )

    def _breathe_and_hold(self) -> None:
        self._breathe()
        self.take()

    def _swap(self, build: IndexBuild) -> None:
        self._engine.commit(build.name)
        self._engine.swap(build.name)
        self._finish(build)

    def _finish(self, build: IndexBuild) -> None:
        """Note what the engine already does.  A process that dies between the two is taken up here.

        The index that was live is kept until told, and the one before it goes; an unreadable one is not worth keeping.
        """
        is_kept = and_(IndexBuild.state == "live", IndexBuild.error.is_(None))
        db.session.execute(
            update(IndexBuild)
            .where(IndexBuild.state.in_(["live", "previous"]), IndexBuild.id != build.id)
            .values(state=case((is_kept, "previous"), else_="dropping"))
            .execution_options(synchronize_session=False)
        )
        self._set(build, state="live", done=build.total, finished_at=now(), error=None, leased_by=None)
        log.info("Searches read the index %s from now on.", build.name)
        drop_requested(self._engine)

    def _set(self, build: IndexBuild, **values: Any) -> None:
        db.session.execute(
            update(IndexBuild)
            .where(IndexBuild.id == build.id, self._is_mine())
            .values(updated_at=now(), **values)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()

    def _is_mine(self) -> Any:
        return IndexBuild.leased_by == self._holder


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring rows of one kind, and their documents when other processes are making them."""

    kind: str
    rows: Sequence[Row[int, int, datetime]]
    is_last: bool
    shaped: "Future[list[Shaped]] | None" = None

    @property
    def versions(self) -> dict[int, int]:
        return {row.object_id: row.version for row in self.rows}


class _Ahead:
    """Walks the outbox by its key, some pieces ahead of what is written, so that every process has work."""

    def __init__(self, after: Mapping[str, int], finished: Collection[str], shapers: Shapers | None) -> None:
        self._after = dict(after)
        self._kinds = deque(kind for kind in KINDS if kind not in finished)
        self._shapers = shapers
        self._pieces: deque[_Piece] = deque()

    def first(self) -> _Piece | None:
        """Return the piece that is to be written next; None when there is no more."""
        most = 2 * self._shapers.count if self._shapers else 1
        while self._kinds and len(self._pieces) < most:
            self._pieces.append(self._read())
        return self._pieces[0] if self._pieces else None

    def pass_by(self) -> None:
        """Go on behind the first piece: it is written."""
        self._pieces.popleft()

    def _read(self) -> _Piece:
        kind = self._kinds[0]
        rows = db.session.execute(
            select(OutboxRow.object_id, OutboxRow.version, OutboxRow.changed_at)
            .where(OutboxRow.kind == kind, OutboxRow.object_id > self._after.get(kind, 0))
            .order_by(OutboxRow.object_id)
            .limit(LOADED_ROWS)
        ).all()
        db.session.rollback()
        # What is made from now on is written by the drains; chasing it here might never end.
        is_last = len(rows) < LOADED_ROWS
        if is_last:
            self._kinds.popleft()
        else:
            self._after[kind] = rows[-1].object_id
        piece = _Piece(kind, rows, is_last)
        if self._shapers and rows:
            piece = replace(piece, shaped=self._shapers.shape(kind, piece.versions))
        return piece

    def close(self) -> None:
        """End the processes."""
        if self._shapers is not None:
            self._shapers.close()


def _items(piece: _Piece, refused: list[str]) -> Iterator[Document | Tombstone | Ready]:
    """Yield what the new index shall hold of a piece; tombstones too old to guard against anything are left out."""
    old = now() - TOMBSTONE_AGE
    too_old = {document_id(piece.kind, row.object_id) for row in piece.rows if row.changed_at < old}
    for item in _shaped(piece):
        if isinstance(item, Refusal):
            refused.append(item.id)
        elif not isinstance(item, Tombstone) or item.id not in too_old:
            yield item


def _shaped(piece: _Piece) -> Iterator[Document | Tombstone | Ready | Refusal]:
    if piece.shaped is not None:
        try:
            found = piece.shaped.result()
        except (ShaperDied, CancelledError):
            log.warning("A process that makes documents has ended; what it was at is made here.")
        else:
            for object_id, made in found:
                name, version = document_id(piece.kind, object_id), piece.versions[object_id]
                if isinstance(made, Ready):
                    yield made
                else:
                    yield Tombstone(id=name, version=version) if made is None else Refusal(name, version, made)
            return
    yield from build_batch(piece.kind, piece.versions)


def ensure_index(engine: SearchEngine, prefix: str) -> bool:
    """Ask for a first index where searches have none to read, and adopt one that SQL does not know.

    Returns whether an index had to be asked for.
    """
    live = engine.live_index()
    if live is None:
        try:
            request_build(engine=engine.name, prefix=prefix)
        except BuildUnderWay:
            return False
        return True
    known = db.session.scalars(select(IndexBuild.name).where(IndexBuild.state == "live")).all()
    if list(known) != [live] and build_under_way() is None:
        db.session.execute(
            update(IndexBuild)
            .where(IndexBuild.state == "live", IndexBuild.name != live)
            .values(state="dropping")
            .execution_options(synchronize_session=False)
        )
        build = db.session.scalars(select(IndexBuild).where(IndexBuild.name == live)).first()
        if build is None:
            db.session.add(IndexBuild(name=live, engine=engine.name, state="live", finished_at=now()))
        else:
            build.state = "live"
    db.session.commit()
    return False


def replace_unreadable(engine: SearchEngine, prefix: str, reason: str) -> None:
    """Ask for a new index because the live one cannot be read.  Nothing is lost: SQL holds the truth."""
    log.error("%s It is being built anew from the database; until then search is limited to titles.", reason)
    db.session.execute(
        update(IndexBuild)
        .where(IndexBuild.state == "live")
        .values(error=reason)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    with contextlib.suppress(BuildUnderWay):
        request_build(engine=engine.name, prefix=prefix)


def drop_requested(engine: SearchEngine) -> int:
    """Remove the indices whose removal was asked for; return how many."""
    dropped = 0
    for build in db.session.scalars(select(IndexBuild).where(IndexBuild.state == "dropping")).all():
        if build.name != engine.live_index():
            # What was built under another prefix, or by another engine, is not this one's to remove.
            with contextlib.suppress(BadQuery):
                engine.drop(build.name)
        build.state, build.finished_at = "dropped", now()
        db.session.commit()
        dropped += 1
    return dropped


def remove_leftovers(engine: SearchEngine) -> list[str]:
    """Remove indices that nobody keeps: what a failed or killed build left behind.  Returns their names."""
    kept = set(
        db.session.scalars(select(IndexBuild.name).where(IndexBuild.state.in_([*BUILDING, "live", "previous"]))).all()
    )
    db.session.rollback()
    left = [index.name for index in engine.list_indices() if not index.is_live and index.name not in kept]
    for name in left:
        log.info("The left-over index %s is removed.", name)
        engine.drop(name)
    return left
