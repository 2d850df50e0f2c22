"""Messages wait here until the mail server took them."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, now


class Message(Base):
    """One mail to one person.

    Address and text are sealed: the text may hold a link that sets a password, and neither should be read from a copy
    of the database.  Once the mail is sent nothing of them is kept.
    """

    __tablename__ = "message"
    __table_args__ = (Index("ix_message_due", "sent_at", "not_before"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    """Made once, so that a mail that is sent twice can be told to be the same."""
    template: Mapped[str] = mapped_column(String(60))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)
    not_before: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(Text)
    leased_until: Mapped[datetime | None]
