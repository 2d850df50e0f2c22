"""What was searched, and the state of the indices that answer it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, now

BUILDING = ("requested", "loading", "draining", "verifying")
"""The states of a build on its way to being searched."""
FILLING = ("loading", "draining", "verifying")
"""The states in which it takes every change, beside the live index."""
UNDER_WAY = "state IN ('requested', 'loading', 'draining', 'verifying')"


class SearchLog(Base):
    """One search somebody made.  Anonymous readers leave no trace of who they are."""

    __tablename__ = "search_log"
    __table_args__ = (Index("ix_search_log_key", "key", "at"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    token: Mapped[str | None] = mapped_column(String(16), unique=True)
    """By which a page adds its click: known before the entry is written."""
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    words: Mapped[str] = mapped_column(String(1000))
    """As typed, with what could tell a person put out of sight."""
    key: Mapped[str] = mapped_column(String(200), default="")
    """The form in which words are counted together."""
    language: Mapped[str] = mapped_column(String(10))
    viewer_kind: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), index=True)
    filters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    total: Mapped[int]
    took_ms: Mapped[float]
    is_degraded: Mapped[bool] = mapped_column(default=False)
    clicked: Mapped[str | None] = mapped_column(String(40))
    clicked_rank: Mapped[int | None]
    clicked_at: Mapped[datetime | None]
    is_reworded: Mapped[bool] = mapped_column(default=False)
    """The reader opened nothing and searched again with other words."""
    record_id: Mapped[int | None]
    """The request that was opened after this search, if any."""
    cohort: Mapped[int | None] = mapped_column(SmallInteger)
    """One of a few numbers that returning browsers are given: two are two readers, and nobody is known by theirs."""


class PopularSearch(Base):
    """Words that several different readers of one kind searched; each word stands where all of them may read."""

    __tablename__ = "popular_search"
    __table_args__ = (UniqueConstraint("audience", "language", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    audience: Mapped[str] = mapped_column(String(20))
    """anonymous, customer or staff."""
    language: Mapped[str] = mapped_column(String(10))
    key: Mapped[str] = mapped_column(String(200), index=True)
    words: Mapped[str] = mapped_column(String(200))
    people: Mapped[int]
    searches: Mapped[int]
    refreshed_at: Mapped[datetime] = mapped_column(default=now)


class SavedSearch(Base):
    """A search that somebody keeps, and is written to about when something new matches."""

    __tablename__ = "saved_search"
    __table_args__ = (Index("ix_saved_search_due", "is_paused", "next_check_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(String(1000), default="")
    filters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    every: Mapped[str] = mapped_column(String(10), default="day")
    """hour, day or week: how often it is looked for something new."""
    is_paused: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_since: Mapped[datetime] = mapped_column(default=now)
    """What changed later has not been looked at yet."""
    next_check_at: Mapped[datetime] = mapped_column(default=now)
    told: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The documents that were told last, so that none is told twice."""
    last_told_at: Mapped[datetime | None]


class IndexBuild(Base):
    """One index of the engine, from its making to its removal.  Every change is written to all that are being kept."""

    __tablename__ = "index_build"
    __table_args__ = (
        # The database itself refuses a second rebuild beside one that is under way.
        Index(
            "uq_index_build_active",
            "engine",
            unique=True,
            sqlite_where=text(UNDER_WAY),
            postgresql_where=text(UNDER_WAY),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    engine: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), index=True)
    """requested, loading, draining, verifying, live, previous, dropping, dropped or failed."""
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """How far the loading came, by kind: where a killed rebuild takes up again."""
    error: Mapped[str | None] = mapped_column(Text)
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str | None] = mapped_column(String(64))
    """The one process that works on it."""
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    finished_at: Mapped[datetime | None]

    @property
    def is_under_way(self) -> bool:
        """Is being built; there is never more than one."""
        return self.state in BUILDING


class IndexCheck(Base):
    """A comparison of the index with SQL that somebody asked for on the page, and what it found."""

    __tablename__ = "index_check"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20), default="requested", index=True)
    """requested, running, done or failed"""
    is_repair: Mapped[bool] = mapped_column(default=False)
    checked: Mapped[int] = mapped_column(default=0)
    missing: Mapped[int] = mapped_column(default=0)
    stale: Mapped[int] = mapped_column(default=0)
    orphaned: Mapped[int] = mapped_column(default=0)
    repaired: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class Heartbeat(Base):
    """A worker's sign of life."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    started_at: Mapped[datetime]
    doing: Mapped[str] = mapped_column(String(200), default="")
