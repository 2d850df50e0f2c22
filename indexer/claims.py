"""Who works on which outbox rows: claims are leases, so that several workers share and a dead one's rows come back.

Each function is one short transaction that it commits itself.  A lease guards against double work, never against wrong
results: the versions do that.
"""

import os
import secrets
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update

from portal.extensions import count_affected, db, is_over, now
from portal.outbox import OutboxRow, is_pending

LEASE = timedelta(seconds=30)
LONGEST_RETRY = timedelta(minutes=1)
LONGEST_ASIDE = timedelta(hours=6)
LONGEST_REASON = 500


def make_holder(what: str) -> str:
    """Return a name for this process's leases: what it is, its machine, its number, and something that differs."""
    return f"{what}@{_machine()}:{os.getpid()}:{secrets.token_hex(3)}"


def is_gone(holder: str) -> bool:
    """Say whether a holder is a process of this machine that has ended: its leases need not run out first."""
    _, _, place = holder.partition("@")
    machine, _, rest = place.partition(":")
    number = rest.partition(":")[0]
    if machine != _machine() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def release_of_the_gone() -> int:
    """Give back what processes of this machine held when they were killed; return how many of them there were."""
    holders = db.session.scalars(
        select(OutboxRow.leased_by).where(is_pending(), OutboxRow.leased_by.is_not(None)).distinct()
    ).all()
    db.session.rollback()
    gone = [holder for holder in holders if holder is not None and is_gone(holder)]
    for holder in gone:
        release_all(holder)
    return len(gone)


def _machine() -> str:
    return socket.gethostname()[:30].replace(":", "-")


@dataclass(frozen=True, slots=True)
class Claim:
    """One row that this worker has taken: the object, and the version its document will be written with."""

    kind: str
    object_id: int
    version: int
    attempts: int

    @property
    def document_id(self) -> str:
        """Return the id of the object's document."""
        return f"{self.kind}:{self.object_id}"


def claim(holder: str, *, limit: int, is_bulk: bool) -> list[Claim]:
    """Take up to `limit` rows that are due, those changed first first.  Single saves and bulk are taken apart."""
    is_due = and_(
        is_pending(),
        OutboxRow.is_bulk.is_(is_bulk),
        _may_be_tried(),
        or_(OutboxRow.leased_until.is_(None), is_over(OutboxRow.leased_until, longest=LEASE)),
    )
    # Looked at first without a write, so that an idle sweep takes no lock on SQLite.
    if db.session.scalar(select(1).where(is_due).limit(1)) is None:
        db.session.rollback()
        return []
    due = (
        select(OutboxRow.kind, OutboxRow.object_id)
        .where(is_due)
        .order_by(OutboxRow.changed_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = db.session.execute(
        update(OutboxRow)
        .where(tuple_(OutboxRow.kind, OutboxRow.object_id).in_(select(due.c.kind, due.c.object_id)))
        .values(leased_until=now() + LEASE, leased_by=holder)
        .returning(OutboxRow.kind, OutboxRow.object_id, OutboxRow.version, OutboxRow.attempts)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.commit()
    return [Claim(*row) for row in rows]


def settle(holder: str, claims: Sequence[Claim]) -> int:
    """Note that these versions are in the index; return how many rows are now caught up.

    A row whose version moved on meanwhile stays pending, and is merely let go.
    """
    if not claims:
        return 0
    written = [(claim.kind, claim.object_id, claim.version) for claim in claims]
    is_written = tuple_(OutboxRow.kind, OutboxRow.object_id, OutboxRow.version).in_(written)
    is_held = OutboxRow.leased_by == holder
    done = db.session.execute(
        update(OutboxRow)
        .where(_locked_in_order(is_written, is_held), is_written, is_held)
        .values(
            indexed_version=OutboxRow.version,
            attempts=0,
            last_error=None,
            not_before=None,
            leased_until=None,
            leased_by=None,
        )
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    settled = count_affected(done)
    if settled < len(claims):
        # In a transaction of its own: to begin again at the first row while later ones are locked breaks the order.
        _let_go(holder, [(claim.kind, claim.object_id) for claim in claims])
        db.session.commit()
    return settled


def postpone(holder: str, claim: Claim, *, until: datetime, reason: str | None = None) -> None:
    """Try a row again later.  With a reason it is set aside: the document itself was refused."""
    db.session.execute(
        update(OutboxRow)
        .where(
            OutboxRow.kind == claim.kind,
            OutboxRow.object_id == claim.object_id,
            OutboxRow.version == claim.version,
            OutboxRow.leased_by == holder,
        )
        .values(
            attempts=OutboxRow.attempts + 1,
            last_error=reason[:LONGEST_REASON] if reason else None,
            not_before=until,
            leased_until=None,
            leased_by=None,
        )
        .execution_options(synchronize_session=False)
    )
    _let_go(holder, [(claim.kind, claim.object_id)])
    db.session.commit()


def release(holder: str, claims: Collection[Claim]) -> None:
    """Give rows back untouched, so that anybody may take them at once."""
    if claims:
        _let_go(holder, [(claim.kind, claim.object_id) for claim in claims])
        db.session.commit()


def release_all(holder: str) -> None:
    """Give back whatever this worker still holds: on its way out, or after a failure between two steps."""
    db.session.execute(
        update(OutboxRow)
        .where(_locked_in_order(is_pending(), OutboxRow.leased_by == holder))
        .values(leased_until=None, leased_by=None)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def _may_be_tried() -> ColumnElement[bool]:
    return or_(
        OutboxRow.not_before.is_(None),
        and_(OutboxRow.last_error.is_(None), is_over(OutboxRow.not_before, longest=LONGEST_RETRY)),
        is_over(OutboxRow.not_before, longest=LONGEST_ASIDE),
    )


def due_count() -> int:
    """Return how many rows could be worked on now or are being worked on: pending, and not waiting for a later try."""
    return db.session.scalar(select(func.count()).select_from(OutboxRow).where(is_pending(), _may_be_tried())) or 0


def _locked_in_order(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Build the condition of rows that PostgreSQL locks by kind and number, as saves that touch many objects do.

    Whoever takes locks in an order of its own can meet another who waits for it, and one of the two is refused.
    """
    held = (
        select(OutboxRow.kind, OutboxRow.object_id)
        .where(*conditions)
        .order_by(OutboxRow.kind, OutboxRow.object_id)
        .with_for_update()
    )
    return tuple_(OutboxRow.kind, OutboxRow.object_id).in_(held)


def _let_go(holder: str, keys: list[tuple[str, int]]) -> None:
    db.session.execute(
        update(OutboxRow)
        .where(_locked_in_order(tuple_(OutboxRow.kind, OutboxRow.object_id).in_(keys), OutboxRow.leased_by == holder))
        .values(leased_until=None, leased_by=None)
        .execution_options(synchronize_session=False)
    )
