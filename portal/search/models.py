"""What was searched, and the state of the indices that answer it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, now


class SearchLog(Base):
    """One search somebody made.  Anonymous readers leave no trace of who they are."""

    __tablename__ = "search_log"
    __table_args__ = (Index("ix_search_log_words", "words"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    words: Mapped[str] = mapped_column(String(1000))
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
    record_id: Mapped[int | None]
    """The request that was opened after this search, if any."""


class IndexBuild(Base):
    """One index of the engine, from its making to its removal.  Every change is written to all that are being kept."""

    __tablename__ = "index_build"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    engine: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), index=True)
    """loading, draining, verifying, live, previous, dropped or failed."""
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """How far the loading came, by kind: where a killed rebuild takes up again."""
    error: Mapped[str | None] = mapped_column(Text)
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    finished_at: Mapped[datetime | None]


class Heartbeat(Base):
    """A worker's sign of life."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    started_at: Mapped[datetime]
    doing: Mapped[str] = mapped_column(String(200), default="")
