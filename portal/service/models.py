"""Service records: what a customer asked or reported, and everything that happened since, entry by entry."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Index, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.access import record_tokens
from portal.accounts.models import User
from portal.customers.models import Contact, Customer
from portal.extensions import Base, now
from portal.knowledge.models import Article
from portal.vocabulary.models import Category, Product, Tag

KINDS = ("request", "repair", "complaint", "consultation")
STATES = ("new", "open", "waiting", "resolved", "closed")
PRIORITIES = ("low", "normal", "high", "urgent")
ENTRY_KINDS = ("reply", "note", "state", "attachment")


class RecordCounter(Base):
    """The last record number that was given out; its single row orders those who open records at one moment."""

    __tablename__ = "record_counter"

    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]


record_tag = Table(
    "record_tag",
    Base.metadata,
    Column("record_id", ForeignKey("record.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Record(Base):
    """A service record."""

    __tablename__ = "record"
    __table_args__ = (
        Index("uq_record_source_external_id", "source", "external_id", unique=True),
        Index("ix_record_queue", "state", "assignee_id", "updated_at"),
    )
    indexed_kind: ClassVar[str] = "record"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    kind: Mapped[str] = mapped_column(String(20), default="request")
    state: Mapped[str] = mapped_column(String(20), default="new")
    priority: Mapped[str] = mapped_column(String(20), default="normal")
    subject: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(Text, default="")
    """Plain text, as the customer wrote it."""
    language: Mapped[str] = mapped_column(String(10), default="en")
    serial_number: Mapped[str] = mapped_column(String(100), default="")
    resolution: Mapped[str] = mapped_column(Text, default="")
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id", ondelete="SET NULL"), index=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contact.id", ondelete="SET NULL"))
    requester_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), index=True)
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), index=True)
    product_id: Mapped[int | None] = mapped_column(ForeignKey("product.id", ondelete="SET NULL"), index=True)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id", ondelete="SET NULL"), index=True)
    source: Mapped[str | None] = mapped_column(String(60))
    external_id: Mapped[str | None] = mapped_column(String(200))
    meta: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    digest: Mapped[str] = mapped_column(String(64), default="")
    """Of the line it was last imported from: an equal line changes nothing."""
    submission: Mapped[str | None] = mapped_column(String(100), unique=True)
    """Which sending of which form made it: sent twice, the form makes one record."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, index=True)
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    customer: Mapped[Customer | None] = relationship()
    contact: Mapped[Contact | None] = relationship()
    requester: Mapped[User | None] = relationship(foreign_keys=[requester_id])
    assignee: Mapped[User | None] = relationship(foreign_keys=[assignee_id])
    product: Mapped[Product | None] = relationship()
    category: Mapped[Category | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=record_tag, order_by=Tag.name)
    entries: Mapped[list["Entry"]] = relationship(
        back_populates="record", cascade="all, delete-orphan", order_by="Entry.at, Entry.id"
    )
    article_links: Mapped[list["ArticleLink"]] = relationship(
        back_populates="record", cascade="all, delete-orphan", order_by="ArticleLink.at"
    )
    record_links: Mapped[list["RecordLink"]] = relationship(
        back_populates="record", cascade="all, delete-orphan", foreign_keys="RecordLink.record_id"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  SQLAlchemy declares it so.

    @property
    def readers(self) -> frozenset[str]:
        """Return the audience tokens that may read this record."""
        return record_tokens(customer_id=self.customer_id, requester_id=self.requester_id)


class Entry(Base):
    """One step in a record's timeline.  Notes are internal: no customer ever sees one."""

    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    body: Mapped[str] = mapped_column(Text, default="")
    """Plain text."""
    old_state: Mapped[str | None] = mapped_column(String(20))
    new_state: Mapped[str | None] = mapped_column(String(20))
    attachment_id: Mapped[int | None] = mapped_column(ForeignKey("attachment.id", ondelete="SET NULL"))
    is_internal: Mapped[bool] = mapped_column(default=False)
    """True for every note, and for the attachments of notes."""
    is_from_customer: Mapped[bool] = mapped_column(default=False)
    """Written by the customer's side, not by staff."""
    author: Mapped[str] = mapped_column(String(120), default="")
    """Who wrote it, where they have no account here."""
    submission: Mapped[str | None] = mapped_column(String(100), unique=True)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=now)

    record: Mapped[Record] = relationship(back_populates="entries")
    by: Mapped[User | None] = relationship()


class Presence(Base):
    """Somebody of the staff who has a record open; worth nothing half a minute later."""

    __tablename__ = "presence"

    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    seen_at: Mapped[datetime]
    answering_at: Mapped[datetime | None]


class ArticleLink(Base):
    """An article that helped with a record, or was written from it."""

    __tablename__ = "article_link"

    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id", ondelete="CASCADE"), primary_key=True, index=True)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=now)

    record: Mapped[Record] = relationship(back_populates="article_links")
    article: Mapped[Article] = relationship()


class RecordLink(Base):
    """Two records about the same thing; stored once for each direction."""

    __tablename__ = "record_link"
    __table_args__ = (CheckConstraint("record_id <> other_id", name="not_itself"),)

    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True)
    other_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True, index=True)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=now)

    record: Mapped[Record] = relationship(back_populates="record_links", foreign_keys=[record_id])
    other: Mapped[Record] = relationship(foreign_keys=[other_id])
