"""What editors put upon the search, and by what they measure it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from flask_babel import LazyString, lazy_gettext
from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.access import Permission
from portal.accounts.models import User
from portal.extensions import Base, now

VIEWERS = ("anonymous", "customer", "agent")
"""Through whose eyes a set of queries is judged and measured."""


class OwnerTrouble(StrEnum):
    """Why nobody answers for a rule any more."""

    GONE = "gone"
    DISABLED = "disabled"
    DEMOTED = "demoted"


class Failure(StrEnum):
    """Why the worker could not do what it was asked for."""

    ENGINE = "engine"
    """What the engine said is kept beside."""
    RULE_REMOVED = "rule_removed"
    CONFIGURATION_REMOVED = "configuration_removed"
    SET_REMOVED = "set_removed"


FAILURES: Mapping[str, LazyString] = {
    Failure.ENGINE: lazy_gettext("The search engine cannot answer: %(reason)s"),
    Failure.RULE_REMOVED: lazy_gettext("The rule was removed before it could be tried."),
    Failure.CONFIGURATION_REMOVED: lazy_gettext("The configuration was removed."),
    Failure.SET_REMOVED: lazy_gettext("The set was removed."),
}


class Asked:
    """What somebody asked the worker for, and how far that came."""

    state: Mapped[str] = mapped_column(String(20), default="requested", index=True)
    """requested, running, done or failed"""
    error: Mapped[str | None] = mapped_column(Text)
    """A `Failure`, and after a colon what was said; a whole sentence of an earlier version."""
    finished_at: Mapped[datetime | None]

    @property
    def is_under_way(self) -> bool:
        """Waits for the worker or is in its hands."""
        return self.state in ("requested", "running")

    @property
    def why_failed(self) -> str:
        """Say it in the reader's language; empty where nothing failed."""
        failure, _, said = (self.error or "").partition(":")
        sentence = FAILURES.get(failure)
        return self.error or "" if sentence is None else str(sentence) % {"reason": said}


def failed(error: str) -> dict[str, Any]:
    """Return what is written of something `Asked` that cannot be done: a `Failure`, and after a colon what was said."""
    return {"state": "failed", "error": error, "finished_at": now()}


class Steered:
    """What every rule has: whether it is switched on, why, whose it is, and until when."""

    if TYPE_CHECKING:
        owner: Mapped[User | None]

    id: Mapped[int] = mapped_column(primary_key=True)
    is_active: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]

    @property
    def is_expired(self) -> bool:
        """Its time is over; it acts no more, whether it is switched on or not."""
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def is_in_force(self) -> bool:
        """Acts on searches at this moment."""
        return self.is_active and not self.is_expired

    @property
    def owner_trouble(self) -> OwnerTrouble | None:
        """Why its owner cannot answer for it; None when all is well.  A rule goes on acting without an owner."""
        if self.owner is None:
            return OwnerTrouble.GONE
        if not self.owner.is_active:
            return OwnerTrouble.DISABLED
        return None if self.owner.viewer.can(Permission.STEER_SEARCH) else OwnerTrouble.DEMOTED


class Synonym(Steered, Base):
    """Words that search treats alike.  One-way: `words` also finds `others`; two-way: each finds all."""

    __tablename__ = "synonym"

    words: Mapped[str] = mapped_column(String(200))
    others: Mapped[str] = mapped_column(Text)
    is_two_way: Mapped[bool] = mapped_column(default=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))

    owner: Mapped[User | None] = relationship()


class SearchRule(Steered, Base):
    """A pin puts an article first for a query; a hide keeps it out.

    The article goes by its number and not by a reference: a rule outlives its article, to say what became of it.
    """

    __tablename__ = "search_rule"
    __table_args__ = (Index("ix_search_rule_article_id", "article_id"),)

    action: Mapped[str] = mapped_column(String(10))
    """pin or hide"""
    words: Mapped[str] = mapped_column(String(200))
    is_exact: Mapped[bool] = mapped_column(default=True)
    """Acts on queries of these words alone; otherwise also on longer ones that hold them."""
    article_id: Mapped[int]
    position: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))

    owner: Mapped[User | None] = relationship()


class RuleChange(Base):
    """One step of a rule's history: what it was and what it became, so that the step can be taken back."""

    __tablename__ = "rule_change"
    __table_args__ = (Index("ix_rule_change_object", "kind", "object_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    kind: Mapped[str] = mapped_column(String(20))
    """synonym or rule"""
    object_id: Mapped[int]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    is_undone: Mapped[bool] = mapped_column(default=False)

    user: Mapped[User | None] = relationship()


class Preview(Asked, Base):
    """What a rule or a configuration would change in the first hits of what people searched lately."""

    __tablename__ = "rule_preview"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    """synonym, rule or configuration"""
    object_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(300))
    cursor: Mapped[int] = mapped_column(default=0)
    """How many of the queries have been looked at."""
    searches: Mapped[int] = mapped_column(default=0)
    """How many logged searches the queries stand for."""
    queries: Mapped[int] = mapped_column(default=0)
    touched: Mapped[int] = mapped_column(default=0)
    """How many of the queries it can touch at all; only these were run."""
    up_to_log_id: Mapped[int | None]
    """The newest logged search that is looked at, so that all slices speak of the same searches."""
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)

    changes: Mapped[list["PreviewedChange"]] = relationship(
        back_populates="preview", cascade="all, delete-orphan", order_by="PreviewedChange.id"
    )


class PreviewedChange(Base):
    """One query whose first hits would change; the lists hold `{"id", "title"}`, best first."""

    __tablename__ = "rule_preview_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    preview_id: Mapped[int] = mapped_column(ForeignKey("rule_preview.id", ondelete="CASCADE"), index=True)
    words: Mapped[str] = mapped_column(String(1000))
    viewer_kind: Mapped[str] = mapped_column(String(20))
    searches: Mapped[int] = mapped_column(default=1)
    before: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    after: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)

    preview: Mapped[Preview] = relationship(back_populates="changes")


class Configuration(Base):
    """A named set of weights for the ranking, as what differs from the product's own; at most one is in use."""

    __tablename__ = "ranking_configuration"
    __table_args__ = (
        # The database itself refuses a second one in use.
        Index(
            "uq_ranking_configuration_active",
            "is_active",
            unique=True,
            sqlite_where=text("is_active"),
            postgresql_where=text("is_active"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    note: Mapped[str] = mapped_column(Text, default="")
    weights: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)
    is_active: Mapped[bool] = mapped_column(default=False)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)

    owner: Mapped[User | None] = relationship()


class JudgedSet(Base):
    """A named set of judged queries."""

    __tablename__ = "judged_set"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    source: Mapped[str] = mapped_column(String(60), default="")
    """When it is given, only what was imported under this name is searched, and documents go by their external id."""
    viewer_kind: Mapped[str] = mapped_column(String(20), default="anonymous")
    created_at: Mapped[datetime] = mapped_column(default=now)

    queries: Mapped[list["JudgedQuery"]] = relationship(
        back_populates="judged_set", cascade="all, delete-orphan", order_by="JudgedQuery.id", passive_deletes=True
    )


class JudgedQuery(Base):
    """One query of a set; `key` is its id in files."""

    __tablename__ = "judged_query"
    __table_args__ = (UniqueConstraint("set_id", "key", name="uq_judged_query_set_id_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("judged_set.id", ondelete="CASCADE"), index=True)
    key: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(1000))
    language: Mapped[str] = mapped_column(String(10), default="")

    judged_set: Mapped[JudgedSet] = relationship(back_populates="queries")
    judgements: Mapped[list["Judgement"]] = relationship(
        back_populates="query", cascade="all, delete-orphan", passive_deletes=True
    )


class Judgement(Base):
    """How relevant one document is to one query, from 0 (not at all) to 3 (exactly what was sought)."""

    __tablename__ = "judgement"
    __table_args__ = (UniqueConstraint("query_id", "document", name="uq_judgement_query_id_document"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    query_id: Mapped[int] = mapped_column(ForeignKey("judged_query.id", ondelete="CASCADE"), index=True)
    document: Mapped[str] = mapped_column(String(255))
    """Its external id where the set has a source, else its id such as `article:17`."""
    grade: Mapped[int]
    judged_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=now)

    query: Mapped[JudgedQuery] = relationship(back_populates="judgements")


class Preference(Base):
    """Which of two configurations answers a query better, as somebody said who did not know which was which.

    A configuration goes by its id, so that what was said follows it through every name.  The name beside it, the one
    that it bore last, outlives it; the product's own weights have neither.
    """

    __tablename__ = "preference"

    id: Mapped[int] = mapped_column(primary_key=True)
    query_id: Mapped[int] = mapped_column(ForeignKey("judged_query.id", ondelete="CASCADE"), index=True)
    one_id: Mapped[int | None] = mapped_column(ForeignKey("ranking_configuration.id", ondelete="SET NULL"))
    one_name: Mapped[str] = mapped_column(String(120))
    other_id: Mapped[int | None] = mapped_column(ForeignKey("ranking_configuration.id", ondelete="SET NULL"))
    other_name: Mapped[str] = mapped_column(String(120))
    fingerprint: Mapped[str] = mapped_column(String(64))
    """A digest of both weights: what was said holds for these."""
    better: Mapped[str] = mapped_column(String(10))
    """one, other or same"""
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    at: Mapped[datetime] = mapped_column(default=now)


class Measurement(Asked, Base):
    """One configuration measured on one set, by judgements or by clicks."""

    __tablename__ = "measurement"
    __table_args__ = (Index("ix_measurement_set_name_at", "set_name", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    set_id: Mapped[int | None] = mapped_column(ForeignKey("judged_set.id", ondelete="SET NULL"))
    set_name: Mapped[str] = mapped_column(String(120))
    is_by_clicks: Mapped[bool] = mapped_column(default=False)
    configuration_id: Mapped[int | None] = mapped_column(ForeignKey("ranking_configuration.id", ondelete="SET NULL"))
    configuration_name: Mapped[str] = mapped_column(String(120), default="")
    fingerprint: Mapped[str] = mapped_column(String(64))
    """What was measured: weights and judgements; the same numbers would come again while this stays the same."""
    engine: Mapped[str] = mapped_column(String(20), default="")
    total: Mapped[int] = mapped_column(default=0)
    ndcg: Mapped[float] = mapped_column(default=0.0)
    mrr: Mapped[float] = mapped_column(default=0.0)
    recall: Mapped[float] = mapped_column(default=0.0)
    queries: Mapped[int] = mapped_column(default=0)
    """How many queries have been run."""
    scores: Mapped[dict[str, list[float]]] = mapped_column(JSON, default=dict)
    """By the query's key: nDCG, reciprocal rank, recall and weight."""
    unknown: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Judged documents that the portal does not hold, at most a hundred of them."""
    unknown_count: Mapped[int] = mapped_column(default=0)
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
