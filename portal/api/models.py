"""Answers kept for a while, so that a repeated write is answered again and not done again."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, now


class IdempotencyKey(Base):
    """A write that was answered, by its owner and the key the caller chose."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("owner", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of method, path and body: another request under the same key is refused."""
    reference: Mapped[str | None] = mapped_column(String(40))
    """The object that was written, noted in the transaction that wrote it."""
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    location: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
