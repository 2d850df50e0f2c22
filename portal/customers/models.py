"""A customer is a company or a person, with contacts who have e-mail addresses and phone numbers.

Addresses and numbers are encrypted at rest and found through a keyed blind index (`portal.encryption`).
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Column, ForeignKey, Index, LargeBinary, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, now
from portal.vocabulary.models import Product, Tag

customer_tag = Table(
    "customer_tag",
    Base.metadata,
    Column("customer_id", ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
)
customer_product = Table(
    "customer_product",
    Base.metadata,
    Column("customer_id", ForeignKey("customer.id", ondelete="CASCADE"), primary_key=True),
    Column("product_id", ForeignKey("product.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Customer(Base):
    """A customer profile."""

    __tablename__ = "customer"
    __table_args__ = (Index("uq_customer_source_external_id", "source", "external_id", unique=True),)
    indexed_kind: ClassVar[str] = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    """company or person"""
    name: Mapped[str] = mapped_column(String(200), index=True)
    language: Mapped[str] = mapped_column(String(10), default="en")
    region: Mapped[str] = mapped_column(String(120), default="")
    segment: Mapped[str] = mapped_column(String(60), default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    """Internal; only staff ever see or search it."""
    source: Mapped[str | None] = mapped_column(String(60))
    external_id: Mapped[str | None] = mapped_column(String(200))
    meta: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    digest: Mapped[str] = mapped_column(String(64), default="")
    """Of the line it was last imported from: an equal line changes nothing."""
    is_archived: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, index=True)
    version: Mapped[int] = mapped_column()

    contacts: Mapped[list["Contact"]] = relationship(
        back_populates="customer", cascade="all, delete-orphan", order_by="Contact.id"
    )
    tags: Mapped[list[Tag]] = relationship(secondary=customer_tag, order_by=Tag.name)
    products: Mapped[list[Product]] = relationship(secondary=customer_product, order_by=Product.name)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  SQLAlchemy declares it so.


class Contact(Base):
    """A person one speaks with at a customer; a customer that is a person has one contact, itself."""

    __tablename__ = "contact"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    job: Mapped[str] = mapped_column(String(120), default="")

    customer: Mapped[Customer] = relationship(back_populates="contacts")
    points: Mapped[list["ContactPoint"]] = relationship(
        back_populates="contact", cascade="all, delete-orphan", order_by="ContactPoint.id"
    )


class ContactPoint(Base):
    """One e-mail address or phone number, sealed; `portal.customers.customers` opens it."""

    __tablename__ = "contact_point"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(36), unique=True)
    """A random name made before the row is stored: what the encryption is bound to."""
    contact_id: Mapped[int] = mapped_column(ForeignKey("contact.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    """email or phone"""
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    blind_index: Mapped[str] = mapped_column(String(64), index=True)

    contact: Mapped[Contact] = relationship(back_populates="points")
