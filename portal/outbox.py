"""Which documents the index has still to catch up with: one row per indexed object, for ever.

`record` raises an object's version in the same transaction as the change; `nudge`, after the commit, wakes the indexer.
The row outlives its object, so pending work is exactly `version > indexed_version`: nothing is queued twice and nothing
can be forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, cast

from flask import current_app
from sqlalchemy import (
    ColumnElement,
    Index,
    Select,
    String,
    Text,
    case,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Moment, count_affected, db, now

RECORDED = "casebook.recorded"


class Indexed(Protocol):
    """A model whose objects have documents: it names its kind and has a whole-number id."""

    indexed_kind: ClassVar[str]

    @property
    def id(self) -> int:
        """Return the object's id; None only before it is flushed."""


class OutboxRow(Base):
    """What the index knows of one object, and what it should know."""

    __tablename__ = "outbox"
    __table_args__ = (
        # Of rows that are kept for ever only the pending ones stand here: a sweep that finds nothing costs nothing.
        Index(
            "ix_outbox_pending",
            "is_bulk",
            "changed_at",
            sqlite_where=text("version > indexed_version"),
            postgresql_where=text("version > indexed_version"),
        ),
    )

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    object_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    indexed_version: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime]
    is_bulk: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Text)
    """Why the document was set aside; null for one that merely waits its turn."""
    not_before: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str | None] = mapped_column(String(64))


def _upsert(rows: Select[Any] | None = None) -> Any:
    """Build the upsert of the bound dialect; both spell ON CONFLICT alike.

    Without a query it takes its rows as parameters, so that it is compiled once, however many they are.
    """
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(OutboxRow)
    if rows is not None:
        statement = statement.from_select(
            ["kind", "object_id", "version", "indexed_version", "changed_at", "is_bulk", "attempts"], rows
        )
    return statement.on_conflict_do_update(
        index_elements=["kind", "object_id"],
        set_={
            "version": OutboxRow.version + 1,
            "changed_at": statement.excluded.changed_at,
            "is_bulk": statement.excluded.is_bulk,
            "attempts": 0,
            "last_error": None,
            "not_before": None,
        },
    )


def record(*objects: Indexed, bulk: bool = False) -> None:
    """Note, inside the caller's transaction, that these objects' documents must be written again.

    Call it for a deleted object, too, before the delete is committed.  `bulk` lets single saves overtake imports.
    """
    if not objects:
        return
    db.session.flush()
    at = now()
    keys = {(thing.indexed_kind, thing.id) for thing in objects}
    rows = [
        {
            "kind": kind,
            "object_id": object_id,
            "version": 1,
            "indexed_version": 0,
            "changed_at": at,
            "is_bulk": bulk,
            "attempts": 0,
        }
        for kind, object_id in sorted(keys)
    ]
    db.session.execute(_upsert(), rows)
    db.session.info.setdefault(RECORDED, set()).update(keys)


def record_where(kind: str, ids: Select[int]) -> None:
    """Note that every object whose id the query gives must be written again: one statement, whatever their number."""
    db.session.flush()
    wanted = ids.subquery()
    # By number, as the worker locks them: whoever takes locks in another order may be refused for it.
    values = select(
        literal(kind),
        wanted.c[0],
        literal(1),
        literal(0),
        literal(now(), Moment()),
        literal(value=True),
        literal(0),
    ).where(wanted.c[0].is_not(None))
    db.session.execute(_upsert(values.order_by(wanted.c[0])))


def record_above(rows: Sequence[tuple[str, int, int]]) -> None:
    """Record objects given as `(kind, id, version)` with a version above both the given one and their own.

    For an index that holds a version that SQL never gave: after a restore, or a document that nobody knows.
    """
    at = now()
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    rows = sorted(rows)
    for start in range(0, len(rows), 500):
        statement = dialect.insert(OutboxRow).values(
            [
                {
                    "kind": kind,
                    "object_id": object_id,
                    "version": version + 1,
                    "indexed_version": 0,
                    "changed_at": at,
                    "is_bulk": True,
                    "attempts": 0,
                }
                for kind, object_id, version in rows[start : start + 500]
            ]
        )
        db.session.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "object_id"],
                set_={
                    "version": case(
                        (OutboxRow.version >= statement.excluded.version, OutboxRow.version + 1),
                        else_=statement.excluded.version,
                    ),
                    "changed_at": at,
                    "is_bulk": True,
                    "attempts": 0,
                    "last_error": None,
                    "not_before": None,
                },
            )
        )


def nudge() -> None:
    """Wake the indexer after a commit.  A lost nudge delays, it never loses: the worker sweeps by itself."""
    wake = cast("Callable[[], None] | None", current_app.extensions.get("casebook.nudge"))
    if wake is not None:
        wake()


def version_of(kind: str, object_id: int) -> tuple[int, int] | None:
    """Return `(version, indexed_version)` of one object, or None where it was never recorded."""
    row = db.session.execute(
        select(OutboxRow.version, OutboxRow.indexed_version).where(
            OutboxRow.kind == kind, OutboxRow.object_id == object_id
        )
    ).first()
    return (row[0], row[1]) if row else None


def is_pending() -> ColumnElement[bool]:
    """Return the condition of the rows that the index has still to catch up with, spelt as their index has it."""
    return OutboxRow.version > OutboxRow.indexed_version


def pending_count() -> int:
    """Return how many documents the index still has to catch up with."""
    return db.session.scalar(select(func.count()).select_from(OutboxRow).where(is_pending())) or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How far the index is behind.  `pending` counts those that were set aside, too; ages are in seconds."""

    objects: int
    pending: int
    set_aside: int
    leased: int
    oldest_pending_s: float
    """Of those that wait their turn; 0 when there is none."""


def statistics() -> Statistics:
    """Count the outbox."""
    at = now()
    pending, aside, leased, oldest = db.session.execute(
        select(
            func.count(),
            func.count(OutboxRow.last_error),
            func.count().filter(OutboxRow.leased_until > at),
            func.min(OutboxRow.changed_at).filter(OutboxRow.last_error.is_(None)),
        ).where(is_pending())
    ).one()
    objects = db.session.scalar(select(func.count()).select_from(OutboxRow)) or 0
    age = max(0.0, (at - oldest).total_seconds()) if oldest else 0.0
    return Statistics(objects=objects, pending=pending, set_aside=aside, leased=leased, oldest_pending_s=age)


def set_aside_rows(limit: int = 100) -> list[OutboxRow]:
    """Return the rows whose documents the engine refused, those changed last first."""
    return list(
        db.session.scalars(
            select(OutboxRow)
            .where(is_pending(), OutboxRow.last_error.is_not(None))
            .order_by(OutboxRow.changed_at.desc(), OutboxRow.kind, OutboxRow.object_id)
            .limit(limit)
        )
    )


def retry_set_aside() -> int:
    """Let everything that was set aside be tried again at once, inside the caller's transaction; return how many."""
    done = db.session.execute(
        update(OutboxRow)
        .where(is_pending(), or_(OutboxRow.last_error.is_not(None), OutboxRow.not_before.is_not(None)))
        .values(not_before=None, last_error=None, attempts=0)
        .execution_options(synchronize_session=False)
    )
    return count_affected(done)
