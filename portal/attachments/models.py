"""What is known of a stored file.  The bytes lie in the data folder under a made-up name."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, now


class Attachment(Base):
    """A file of one article or one record; who may read it is decided by that owner."""

    __tablename__ = "attachment"
    __table_args__ = (Index("ix_attachment_owner", "owner_kind", "owner_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_kind: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[int]
    is_internal: Mapped[bool] = mapped_column(default=False)
    file_name: Mapped[str] = mapped_column(String(200))
    stored_name: Mapped[str] = mapped_column(String(64), unique=True)
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text, default="")
    text_state: Mapped[str] = mapped_column(String(20), default="pending")
    """pending, done, none (nothing to read) or failed."""
    text_reason: Mapped[str | None] = mapped_column(String(20))
    """Why it failed, one of `reasons.Reason`; people are told in their own language."""
    text_error: Mapped[str | None] = mapped_column(Text)
    """What the reader said, word for word; where there is no reason, a whole sentence of an earlier version."""
    uploaded_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
