"""Who did what, when, to which object: append-only and hash-chained.

Each entry's hash covers its own fields and the hash before it, so an edited, removed or moved row breaks the chain at a
place that `verify` names.  Appending locks one row, always as an operation's last statement before its commit: a lock
that everybody takes last cannot deadlock.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Index, String, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from portal.access import Viewer
from portal.extensions import Base, count_affected, db, now

ORIGIN = "0" * 64


class AuditEntry(Base):
    """One thing that was done."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_object", "object_kind", "object_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[int | None] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(60), index=True)
    object_kind: Mapped[str | None] = mapped_column(String(30))
    object_id: Mapped[int | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class AuditHead(Base):
    """The chain's last link; its single row is the lock that orders appends."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    length: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold."""

    entry_id: int
    reason: str


def append(
    action: str,
    *,
    by: Viewer | None,
    kind: str | None = None,
    object_id: int | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry inside the caller's transaction, as its last statement.  `by` is None for the system itself.

    `details` must be JSON and must not hold secrets or customers' contact data.
    """
    lengthen = update(AuditHead).where(AuditHead.id == 1).values(length=AuditHead.length + 1)
    locked = db.session.execute(lengthen)
    if count_affected(locked) == 0:
        # Two may find no head at once; one of them makes it, and both go on behind each other.
        dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
        db.session.execute(dialect.insert(AuditHead).values(id=1, length=0, hash=ORIGIN).on_conflict_do_nothing())
        db.session.execute(lengthen)
    head = db.session.execute(
        select(AuditHead).where(AuditHead.id == 1).execution_options(populate_existing=True)
    ).scalar_one()
    entry = AuditEntry(
        id=head.length,
        at=now(),
        user_id=by.user_id if by else None,
        action=action,
        object_kind=kind,
        object_id=object_id,
        details=details or {},
        previous_hash=head.hash,
    )
    entry.hash = link(entry)
    head.hash = entry.hash
    db.session.add(entry)
    return entry


def link(entry: AuditEntry) -> str:
    """Return the SHA-256 over an entry's fields and the link before it, as hexadecimal."""
    text = json.dumps(
        [
            entry.id,
            entry.at.isoformat(timespec="microseconds"),
            entry.user_id,
            entry.action,
            entry.object_kind,
            entry.object_id,
            entry.details,
            entry.previous_hash,
        ],
        sort_keys=True,
        ensure_ascii=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, the newest first, and where the next page begins."""

    entries: list[AuditEntry]
    next_before: int | None


def load_page(
    *,
    action: str = "",
    kind: str = "",
    object_id: int | None = None,
    user_ids: Collection[int] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    size: int = 50,
) -> AuditPage:
    """Load the entries that meet all conditions given, the newest first, from before an entry's number on."""
    wanted: list[ColumnElement[bool]] = []
    if action:
        wanted.append(AuditEntry.action == action)
    if kind:
        wanted.append(AuditEntry.object_kind == kind)
    if object_id is not None:
        wanted.append(AuditEntry.object_id == object_id)
    if user_ids is not None:
        wanted.append(AuditEntry.user_id.in_(user_ids))
    if since is not None:
        wanted.append(AuditEntry.at >= since)
    if until is not None:
        wanted.append(AuditEntry.at < until)
    if before is not None and 0 < before < 2**31:
        wanted.append(AuditEntry.id < before)
    rows = db.session.scalars(select(AuditEntry).where(*wanted).order_by(AuditEntry.id.desc()).limit(size + 1)).all()
    entries = list(rows[:size])
    return AuditPage(entries, entries[-1].id if len(rows) > size else None)


def load_actions() -> list[str]:
    """Load what has been done so far, each name once."""
    return list(db.session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)))


def load_kinds() -> list[str]:
    """Load to what it was done, each kind once."""
    kinds = select(AuditEntry.object_kind).where(AuditEntry.object_kind.is_not(None)).distinct()
    return sorted(kind for kind in db.session.scalars(kinds) if kind)


def verify() -> Iterator[Break]:
    """Walk the whole chain and yield every place where it does not hold.  Memory stays bounded."""
    before, expected_id = ORIGIN, 1
    rows = db.session.execute(select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000)).scalars()
    for entry in rows:
        if entry.id != expected_id:
            yield Break(entry.id, f"entries {expected_id} to {entry.id - 1} are missing")
        if entry.previous_hash != before and entry.id == expected_id:
            yield Break(entry.id, "it does not follow the entry before it")
        if link(entry) != entry.hash:
            yield Break(entry.id, "its fields were changed after it was written")
        before, expected_id = entry.hash, entry.id + 1
    head = db.session.get(AuditHead, 1, populate_existing=True)
    if head is None and expected_id > 1:
        yield Break(expected_id - 1, "the row that holds the end of the chain is missing")
    if head is not None and (head.length != expected_id - 1 or head.hash != before):
        yield Break(head.length, f"the chain should end at entry {head.length} and ends at {expected_id - 1}")
