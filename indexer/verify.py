"""Compare SQL with an index, exactly, by `(id, version)`, while both go on changing.

Three looks in this order: the versions that SQL calls settled; what the index holds; SQL once more for whatever
differed.  A row that was settled at the first look and is still settled at the same version at the third must stand in
the index just so: anything else is a real difference, however many writes went on meanwhile.  Both lists go through a
temporary file that sorts them, so memory does not grow with the corpus.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from sqlalchemy import exists, select, tuple_

from indexer.documents import KINDS, document_id
from portal import outbox
from portal.extensions import db
from portal.outbox import OutboxRow
from portal.search.engine import SearchEngine

Item = TypeVar("Item")

AT_ONCE = 5000
LOOKED_AT_AGAIN = 500

COMPARE = """
SELECT id, max(wanted), max(is_settled), max(held), max(is_gone)
FROM (
    SELECT id, version AS wanted, is_settled, NULL AS held, NULL AS is_gone FROM sql_side
    UNION ALL
    SELECT id, NULL, NULL, version, is_gone FROM index_side
)
GROUP BY id
HAVING max(wanted) IS NOT max(held)
"""


class Problem(StrEnum):
    """In which way the index differs from SQL."""

    MISSING = "missing"
    STALE = "stale"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that is not in the index as SQL has it.  `held_version` is the index's; 0 where it has none."""

    id: str
    problem: Problem
    held_version: int


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What a comparison found.  Pending rows are on their way and are no differences."""

    checked: int = 0
    missing: int = 0
    stale: int = 0
    orphaned: int = 0
    pending: int = 0
    set_aside: int = 0
    repaired: int = 0

    @property
    def differs(self) -> bool:
        """Say whether the index differs from SQL."""
        return bool(self.missing or self.stale or self.orphaned)

    def count(self, difference: Difference) -> None:
        """Add a difference."""
        name = difference.problem.value
        setattr(self, name, getattr(self, name) + 1)


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: str
    wanted: int | None
    held: int | None

    @property
    def key(self) -> tuple[str, int] | None:
        kind, colon, number = self.id.partition(":")
        return (kind, int(number)) if colon and number.isascii() and number.isdigit() and len(number) < 19 else None


def compare(
    engine: SearchEngine,
    index: str,
    *,
    breathe: Callable[[], None] = lambda: None,
    on_difference: Callable[[Difference], None] = lambda _: None,
    is_repair: bool = False,
) -> Comparison:
    """Compare an index with SQL, optionally recording whatever differs so that the next drain mends it.

    `breathe` is called between bounded steps; a worker drains there.  `on_difference` is told each difference.
    """
    found = Comparison()
    # The empty name makes a file of SQLite's own that nobody else sees and that vanishes when it is closed.
    with closing(sqlite3.connect("", isolation_level=None)) as scratch:
        scratch.execute("PRAGMA journal_mode=OFF")
        scratch.execute("CREATE TABLE sql_side (id TEXT, version INTEGER, is_settled INTEGER)")
        scratch.execute("CREATE TABLE index_side (id TEXT, version INTEGER, is_gone INTEGER)")
        for rows in _recorded():
            _store(scratch, "sql_side", rows)
            found.checked += sum(1 for row in rows if row[2])
            breathe()
        held = ((item.id, item.version, item.is_gone) for item in engine.versions(index))
        for chunk in chunks(held, AT_ONCE):
            _store(scratch, "index_side", chunk)
            breathe()
        for differences in _confirmed(scratch):
            for difference in differences:
                found.count(difference)
                on_difference(difference)
            if is_repair:
                found.repaired += repair(differences)
            breathe()
    for unrecorded in _unrecorded():
        found.checked += len(unrecorded)
        for difference in unrecorded:
            found.count(difference)
            on_difference(difference)
        if is_repair:
            found.repaired += repair(unrecorded)
    counts = outbox.statistics()
    db.session.rollback()
    found.pending, found.set_aside = counts.pending - counts.set_aside, counts.set_aside
    return found


def repair(differences: Iterable[Difference]) -> int:
    """Record these objects above both versions, so that the drain writes each document, or its tombstone, anew."""
    rows = [
        (*key, difference.held_version)
        for difference in differences
        if (key := _Candidate(difference.id, None, None).key) is not None
    ]
    outbox.record_above(rows)
    db.session.commit()
    return len(rows)


def record_unrecorded() -> int:
    """Give every object that was never recorded its outbox row; return how many there were."""
    count = 0
    for kind in KINDS.values():
        without = select(kind.model.id).where(
            ~exists().where(OutboxRow.kind == kind.name, OutboxRow.object_id == kind.model.id)
        )
        count += len(db.session.scalars(without.limit(1)).all())
        outbox.record_where(kind.name, without)
    db.session.commit()
    return count


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut a stream into lists."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def _store(scratch: sqlite3.Connection, table: str, rows: list[tuple[str, int, bool]]) -> None:
    scratch.execute("BEGIN")
    scratch.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608  One of two names of ours.
    scratch.execute("COMMIT")


def _recorded() -> Iterator[list[tuple[str, int, bool]]]:
    """Walk the outbox by its key: id, version, and whether the index should have it."""
    after: tuple[str, int] = ("", 0)
    while True:
        rows = db.session.execute(
            select(OutboxRow.kind, OutboxRow.object_id, OutboxRow.version, OutboxRow.indexed_version)
            .where(tuple_(OutboxRow.kind, OutboxRow.object_id) > after)
            .order_by(OutboxRow.kind, OutboxRow.object_id)
            .limit(AT_ONCE)
        ).all()
        db.session.rollback()
        if rows:
            yield [(document_id(kind, number), version, version == indexed) for kind, number, version, indexed in rows]
        if len(rows) < AT_ONCE:
            # The end; what was made meanwhile is not chased.
            return
        after = (rows[-1][0], rows[-1][1])


def _confirmed(scratch: sqlite3.Connection) -> Iterator[list[Difference]]:
    """Look at whatever differed once more, and yield what really differs."""
    rows = scratch.execute(COMPARE)
    candidates = (
        _Candidate(name, wanted, held)
        for name, wanted, is_settled, held, is_gone in rows
        if (is_settled if wanted is not None else not is_gone)
    )
    for chunk in chunks(candidates, LOOKED_AT_AGAIN):
        yield list(_really_different(chunk))


def _really_different(candidates: list[_Candidate]) -> Iterator[Difference]:
    keys = [candidate.key for candidate in candidates if candidate.key is not None]
    present = {
        (kind, number): (version, indexed)
        for kind, number, version, indexed in db.session.execute(
            select(OutboxRow.kind, OutboxRow.object_id, OutboxRow.version, OutboxRow.indexed_version).where(
                tuple_(OutboxRow.kind, OutboxRow.object_id).in_(keys)
            )
        )
    }
    existing = _existing(keys)
    db.session.rollback()
    for candidate in candidates:
        key = candidate.key
        if candidate.wanted is None:
            # Never recorded: an orphan, unless the object exists and is counted as unrecorded.
            if key is None or (key not in present and key not in existing):
                yield Difference(candidate.id, Problem.ORPHANED, candidate.held or 0)
        elif key is not None and present.get(key) == (candidate.wanted, candidate.wanted):
            if candidate.held is not None:
                yield Difference(candidate.id, Problem.STALE, candidate.held)
            elif key in existing:
                # A deleted object needs no tombstone in an index that was built after its time.
                yield Difference(candidate.id, Problem.MISSING, 0)


def _existing(keys: list[tuple[str, int]]) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for kind in KINDS.values():
        numbers = [number for name, number in keys if name == kind.name]
        if numbers:
            found |= {
                (kind.name, n) for n in db.session.scalars(select(kind.model.id).where(kind.model.id.in_(numbers)))
            }
    return found


def _unrecorded() -> Iterator[list[Difference]]:
    """Yield the objects that have no outbox row, as missing documents."""
    for kind in KINDS.values():
        after = 0
        while True:
            numbers = db.session.scalars(
                select(kind.model.id)
                .where(
                    kind.model.id > after,
                    ~exists().where(OutboxRow.kind == kind.name, OutboxRow.object_id == kind.model.id),
                )
                .order_by(kind.model.id)
                .limit(LOOKED_AT_AGAIN)
            ).all()
            db.session.rollback()
            if numbers:
                yield [Difference(document_id(kind.name, number), Problem.MISSING, 0) for number in numbers]
            if len(numbers) < LOOKED_AT_AGAIN:
                break
            after = numbers[-1]
