"""Articles and their revisions.  Markdown is the truth; HTML and plain text are rendered from it once, at save."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.access import article_tokens
from portal.extensions import Base, now
from portal.vocabulary.models import Category, Product, Tag

KINDS = ("faq", "case_study")
STATES = ("draft", "published", "archived")
PARTS: dict[str, tuple[str, ...]] = {
    "faq": ("body",),
    "case_study": ("environment", "issue", "cause", "resolution", "lesson"),
}
"""The Markdown fields of each kind, in the order they are read."""

article_tag = Table(
    "article_tag",
    Base.metadata,
    Column("article_id", ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
)
article_product = Table(
    "article_product",
    Base.metadata,
    Column("article_id", ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("product_id", ForeignKey("product.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Article(Base):
    """Knowledge with a life cycle: an FAQ or a case study."""

    __tablename__ = "article"
    __table_args__ = (
        Index("uq_article_source_external_id", "source", "external_id", unique=True),
        Index("ix_article_state_audience", "state", "audience", "updated_at"),
    )
    indexed_kind: ClassVar[str] = "article"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="draft")
    audience: Mapped[str] = mapped_column(String(20), default="public")
    is_shared: Mapped[bool] = mapped_column(default=False)
    """A shared draft can be read by all staff; otherwise only by its owner and the editors."""
    title: Mapped[str] = mapped_column(String(300))
    slug: Mapped[str] = mapped_column(String(200), unique=True)
    language: Mapped[str] = mapped_column(String(10), default="en")
    summary: Mapped[str] = mapped_column(Text, default="")
    body: Mapped[str] = mapped_column(Text, default="")
    environment: Mapped[str] = mapped_column(Text, default="")
    issue: Mapped[str] = mapped_column(Text, default="")
    cause: Mapped[str] = mapped_column(Text, default="")
    resolution: Mapped[str] = mapped_column(Text, default="")
    lesson: Mapped[str] = mapped_column(Text, default="")
    outcome: Mapped[str | None] = mapped_column(String(20))
    """success or failure; case studies only"""
    html: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    """Safe HTML by part."""
    sections: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    """Plain text as readers see it: `{"anchor", "heading", "text"}` in reading order."""
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id", ondelete="SET NULL"), index=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"), index=True)
    translation_of_id: Mapped[int | None] = mapped_column(ForeignKey("article.id", ondelete="SET NULL"), index=True)
    source: Mapped[str | None] = mapped_column(String(60))
    external_id: Mapped[str | None] = mapped_column(String(200))
    url: Mapped[str | None] = mapped_column(String(1000))
    import_digest: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the imported line that this article was last made from; the same line again changes nothing."""
    meta: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    views: Mapped[int] = mapped_column(default=0)
    helpful: Mapped[int] = mapped_column(default=0)
    unhelpful: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, index=True)
    published_at: Mapped[datetime | None]
    review_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    category: Mapped[Category | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=article_tag, order_by=Tag.name)
    products: Mapped[list[Product]] = relationship(secondary=article_product, order_by=Product.name)
    translation_of: Mapped["Article | None"] = relationship(remote_side="Article.id", back_populates="translations")
    translations: Mapped[list["Article"]] = relationship(back_populates="translation_of")
    revisions: Mapped[list["Revision"]] = relationship(
        back_populates="article", cascade="all, delete-orphan", order_by="Revision.number.desc()"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  SQLAlchemy declares it so.

    @property
    def readers(self) -> frozenset[str]:
        """Return the audience tokens that may read this article."""
        return article_tokens(
            state=self.state,
            audience=self.audience,
            category_audience=self.category.effective_audience if self.category else None,
            owner_id=self.owner_id,
            is_shared=self.is_shared,
        )

    @property
    def partners(self) -> list["Article"]:
        """Return the other articles of its group of translations: their documents and pages name this one."""
        original = self.translation_of or self
        return [other for other in (original, *original.translations) if other is not self]


class ArticleSlug(Base):
    """An address an article once had; it redirects to the present one."""

    __tablename__ = "article_slug"

    slug: Mapped[str] = mapped_column(String(200), primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id", ondelete="CASCADE"), index=True)


class Revision(Base):
    """One saved state of an article."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("article_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    note: Mapped[str] = mapped_column(String(300), default="")
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The article's declared fields as they were."""

    article: Mapped[Article] = relationship(back_populates="revisions")


class Vote(Base):
    """One reader's answer to "was this helpful?"."""

    __tablename__ = "vote"
    __table_args__ = (UniqueConstraint("article_id", "voter"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id", ondelete="CASCADE"), index=True)
    voter: Mapped[str] = mapped_column(String(64))
    """A keyed hash of the account or of the browser's session: counts once, names nobody."""
    is_helpful: Mapped[bool]
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(default=now)
