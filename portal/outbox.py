"""Which documents the index has still to catch up with: one row per indexed object, for ever.

`record` raises an object's version in the same transaction as the change; `nudge`, after the commit, wakes the indexer.
The row outlives its object, so pending work is exactly `version > indexed_version`: nothing is queued twice and nothing
can be forgotten.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Protocol, cast

from flask import current_app
from sqlalchemy import Index, Select, String, Text, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Moment, db, now

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
        Index("ix_outbox_pending", "is_bulk", "changed_at"),
        Index("ix_outbox_indexed", "indexed_version"),
    )

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    object_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    indexed_version: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime]
    is_bulk: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Text)
    not_before: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str | None] = mapped_column(String(64))


def _insert(values: Any) -> Any:
    """Build the upsert of the bound dialect; both spell ON CONFLICT alike."""
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(OutboxRow)
    statement = (
        statement.from_select(
            ["kind", "object_id", "version", "indexed_version", "changed_at", "is_bulk", "attempts"], values
        )
        if isinstance(values, Select)
        else statement.values(values)
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
    for start in range(0, len(rows), 500):
        db.session.execute(_insert(rows[start : start + 500]))
    db.session.info.setdefault(RECORDED, set()).update(keys)


def record_where(kind: str, ids: Select[Any]) -> None:
    """Note that every object whose id the query gives must be written again: one statement, whatever their number."""
    db.session.flush()
    wanted = ids.subquery()
    values = select(
        literal(kind),
        wanted.c[0],
        literal(1),
        literal(0),
        literal(now(), Moment()),
        literal(value=True),
        literal(0),
    ).where(wanted.c[0].is_not(None))
    db.session.execute(_insert(values))


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


def pending_count() -> int:
    """Return how many documents the index still has to catch up with."""
    return (
        db.session.scalar(
            select(func.count()).select_from(OutboxRow).where(OutboxRow.version > OutboxRow.indexed_version)
        )
        or 0
    )
