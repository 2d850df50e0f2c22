"""Drain the outbox into the engine: claim, read the objects as they are now, write, settle.

The version is read before the object, so a document may be newer than its number but never older; the engine keeps the
higher number, so late, doubled and reordered deliveries are harmless.  A row is settled only when every index that is
being kept holds its version.  Nothing here is needed for correctness but the outbox itself: a process that dies at any
line loses its lease and no work.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar

from sqlalchemy import select, update

from indexer import claims
from indexer.claims import LONGEST_ASIDE, LONGEST_RETRY, Claim
from indexer.documents import Refusal, build_batch, size_of
from portal.extensions import db, now
from portal.search.document import Document, Ready, Tombstone
from portal.search.engine import EngineBusy, EngineError, EngineLocked, IndexCorrupt, IndexMissing, SearchEngine
from portal.search.models import FILLING, IndexBuild
from portal.search.results import Outcome, WriteOutcome

log = logging.getLogger("casebook.indexer")

SINGLE_ROWS = 200
BULK_ROWS = 2000
WRITE_ROWS = 500
DRAINED_ROWS = 200
"""Between so many documents of bulk work a single save is looked for."""
WRITE_BYTES = 8 * 1024 * 1024
FIRST_RETRY = timedelta(seconds=1)
FIRST_ASIDE = timedelta(minutes=1)
Item = TypeVar("Item", Document | Tombstone, Document | Tombstone | Ready)
SEVERITY = (Outcome.DONE, Outcome.SUPERSEDED, Outcome.RETRY, Outcome.REFUSED)


class Ended(Enum):
    """Why a drain came back."""

    EMPTY = auto()
    """Nothing is due any more."""
    STOPPED = auto()
    """It was asked to, or its time was over."""
    NO_INDEX = auto()
    """There is no index to write to; a rebuild makes one."""
    BUSY = auto()
    """The engine refuses work for the moment."""
    DOWN = auto()
    """The engine does not answer."""


@dataclass(slots=True)
class Drained:
    """What a drain did."""

    ended: Ended = Ended.EMPTY
    batches: int = 0
    settled: int = 0
    set_aside: int = 0
    put_off: int = 0
    trouble: str = ""


def kept_indices(engine: SearchEngine) -> list[str]:
    """Return the indices that every change is written to: the live one, and one that is being filled.

    Read it after the claim, never before: a build that starts later then loads at least the claimed versions itself.

    Raises:
        EngineError: the engine cannot say.
    """
    live = engine.live_index()
    filling = db.session.scalars(select(IndexBuild.name).where(IndexBuild.state.in_(FILLING))).all()
    db.session.rollback()
    return list(dict.fromkeys([*([live] if live else []), *filling]))


def drain(
    engine: SearchEngine, holder: str, *, is_stopped: Callable[[], bool] = lambda: False, for_s: float = math.inf
) -> Drained:
    """Write everything that is due; single saves overtake bulk, also what is under way of it.

    After `for_s` seconds no further batch is begun: where people save without a pause there is never nothing due, and
    whoever calls this has more to do.  Trouble with the engine ends the drain and gives the rows back; the caller
    decides when to come again.

    Raises:
        EngineLocked: another process of this machine writes the embedded index.
    """
    report = Drained()
    began = time.monotonic()
    while report.ended is Ended.EMPTY:
        if is_stopped() or (report.batches and time.monotonic() - began >= for_s):
            report.ended = Ended.STOPPED
            break
        taken = claims.claim(holder, limit=SINGLE_ROWS, is_bulk=False) or claims.claim(
            holder, limit=BULK_ROWS, is_bulk=True
        )
        if not taken:
            break
        report.batches += 1
        try:
            _write_claims(engine, holder, taken, report, meanwhile=lambda: _overtake(engine, holder, report))
        except EngineBusy as error:
            report.ended, report.trouble = Ended.BUSY, str(error)
        except (IndexMissing, IndexCorrupt) as error:
            report.ended, report.trouble = Ended.NO_INDEX, str(error)
        except EngineLocked:
            db.session.rollback()
            claims.release_all(holder)
            raise
        except EngineError as error:
            report.ended, report.trouble = Ended.DOWN, str(error)
    if report.trouble:
        db.session.rollback()
        claims.release_all(holder)
    return report


def _overtake(engine: SearchEngine, holder: str, report: Drained) -> None:
    """Write what was saved singly since bulk work began: people look for it, nobody waits for the bulk."""
    singles = claims.claim(holder, limit=SINGLE_ROWS, is_bulk=False)
    if singles:
        _write_claims(engine, holder, singles, report)


def _write_claims(
    engine: SearchEngine,
    holder: str,
    taken: Sequence[Claim],
    report: Drained,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    indices = kept_indices(engine)
    if not indices:
        raise IndexMissing("There is no index yet.")
    by_id = {claim.document_id: claim for claim in taken}
    outcomes: dict[str, WriteOutcome] = {}
    for part in _parts(taken, outcomes):
        for outcome in write_everywhere(engine, indices, part):
            outcomes[outcome.id] = outcome
        meanwhile()
    for index in indices:
        engine.commit(index)
    written = [by_id[o.id] for o in outcomes.values() if o.outcome in (Outcome.DONE, Outcome.SUPERSEDED)]
    report.settled += claims.settle(holder, written)
    for outcome in outcomes.values():
        claim = by_id[outcome.id]
        if outcome.outcome is Outcome.RETRY:
            wait = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(claim.attempts, 10))
            claims.postpone(holder, claim, until=now() + wait)
            report.put_off += 1
        elif outcome.outcome is Outcome.REFUSED:
            wait = min(LONGEST_ASIDE, FIRST_ASIDE * 4 ** min(claim.attempts, 10))
            claims.postpone(holder, claim, until=now() + wait, reason=outcome.reason or "the engine refused it")
            report.set_aside += 1
            log.warning("%s was set aside: %s. It is tried again in %s.", outcome.id, outcome.reason, wait)


def _parts(taken: Sequence[Claim], outcomes: dict[str, WriteOutcome]) -> Iterator[list[Document | Tombstone]]:
    """Shape the claimed objects and yield them in parts of bounded count and size; refusals go into `outcomes`."""
    versions: dict[str, dict[int, int]] = {}
    for claim in taken:
        versions.setdefault(claim.kind, {})[claim.object_id] = claim.version
    for kind, wanted in versions.items():
        yield from in_parts(_without_refusals(kind, wanted, outcomes), rows=DRAINED_ROWS)


def _without_refusals(
    kind: str, wanted: Mapping[int, int], outcomes: dict[str, WriteOutcome]
) -> Iterator[Document | Tombstone]:
    for item in build_batch(kind, wanted):
        if isinstance(item, Refusal):
            outcomes[item.id] = WriteOutcome(
                id=item.id, version=item.version, outcome=Outcome.REFUSED, reason=item.reason
            )
        else:
            yield item


def in_parts(items: Iterator[Item], *, rows: int = WRITE_ROWS) -> Iterator[list[Item]]:
    """Cut a stream into lists of bounded count and size."""
    part: list[Item] = []
    size = 0
    for item in items:
        part.append(item)
        size += size_of(item)
        if len(part) >= rows or size >= WRITE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def write_everywhere(
    engine: SearchEngine, indices: list[str], part: Sequence[Document | Tombstone]
) -> Iterator[WriteOutcome]:
    """Write a part to all kept indices and yield, for each document, the worst that became of it.

    An index that is missing or corrupt is taken out of `indices` as long as another one is left: what is live and
    unreadable must not keep the index that will replace it from being filled.
    """
    worst: dict[str, WriteOutcome] = {}
    for index in list(indices):
        try:
            results = engine.write(index, part)
        except (IndexMissing, IndexCorrupt) as error:
            is_filling = give_up_build(index, str(error))
            if len(indices) == 1 and not is_filling:
                raise
            log.warning("The index %s cannot be written: %s", index, error)
            indices.remove(index)
            continue
        for outcome in results:
            known = worst.get(outcome.id)
            if known is None or SEVERITY.index(outcome.outcome) > SEVERITY.index(known.outcome):
                worst[outcome.id] = outcome
    if not indices:
        raise IndexMissing("There is no index left to write to.")
    yield from worst.values()


def give_up_build(index: str, reason: str) -> bool:
    """Mark the build of this index as failed; return whether there was one under way."""
    given_up = db.session.scalars(
        update(IndexBuild)
        .where(IndexBuild.name == index, IndexBuild.state.in_(FILLING))
        .values(state="failed", error=reason, finished_at=now(), leased_until=None, leased_by=None)
        .returning(IndexBuild.id)
    ).all()
    db.session.commit()
    return bool(given_up)
