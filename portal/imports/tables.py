"""What an export holds: the columns of each kind of object, and rows in the order of their ids, a few at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import selectinload

from portal.access import Viewer
from portal.customers import contacts
from portal.customers import findable as findable_customers
from portal.customers.models import Contact, Customer
from portal.extensions import db
from portal.knowledge import findable as findable_articles
from portal.knowledge.models import PARTS, Article
from portal.service import findable as findable_records
from portal.service.models import Entry, Record

STEP = 500


@dataclass(frozen=True, slots=True)
class Export:
    """How one kind of object leaves: `columns` name what `shape` gives for each."""

    model: Any
    select: Callable[[Viewer], Select[Any]]
    shape: Callable[[Any], dict[str, Any]]
    columns: tuple[str, ...]


def rows(export: Export, viewer: Viewer) -> Iterator[dict[str, Any]]:
    """Yield every object that the viewer may read, by ascending id; memory is bounded by the step."""
    last = 0
    while True:
        chunk = db.session.scalars(
            export.select(viewer).where(export.model.id > last).order_by(export.model.id).limit(STEP)
        ).all()
        if not chunk:
            return
        for thing in chunk:
            yield export.shape(thing)
        last = chunk[-1].id
        db.session.expunge_all()


def _select_articles(viewer: Viewer) -> Select[Any]:
    return findable_articles.select_readable(viewer).options(
        selectinload(Article.category), selectinload(Article.tags), selectinload(Article.products)
    )


def _article(article: Article) -> dict[str, Any]:
    """Shape an article as a line that `casebook import articles` takes; a case study's parts stand in `meta`."""
    parts = {name: getattr(article, name) for name in PARTS[article.kind]}
    return {
        "id": article.external_id or f"article-{article.id}",
        "title": article.title,
        "text": parts.pop("body", ""),
        "lang": article.language,
        "url": article.url,
        "meta": {
            **article.meta,
            **parts,
            "kind": article.kind,
            "state": article.state,
            "audience": article.audience,
            "summary": article.summary,
            "outcome": article.outcome,
            "category": article.category.name if article.category else None,
            "products": [product.name for product in article.products],
            "tags": [tag.name for tag in article.tags],
            "updated_at": article.updated_at.isoformat(),
        },
    }


def _select_records(viewer: Viewer) -> Select[Any]:
    return findable_records.select_readable(viewer).options(
        selectinload(Record.entries).selectinload(Entry.by),
        selectinload(Record.customer),
        selectinload(Record.product),
        selectinload(Record.category),
        selectinload(Record.tags),
        selectinload(Record.assignee),
    )


def _record(record: Record) -> dict[str, Any]:
    return {
        "id": record.external_id or record.number,
        "title": record.subject,
        "text": record.description,
        "lang": record.language,
        "meta": {
            **record.meta,
            "number": record.number,
            "kind": record.kind,
            "state": record.state,
            "priority": record.priority,
            "customer": record.customer.name if record.customer else None,
            "product": record.product.name if record.product else None,
            "serial_number": record.serial_number,
            "category": record.category.name if record.category else None,
            "tags": [tag.name for tag in record.tags],
            "assignee": record.assignee.email if record.assignee else None,
            "resolution": record.resolution,
            "created_at": record.created_at.isoformat(),
            "updated_at": record.updated_at.isoformat(),
            "entries": [
                {"kind": entry.kind, "body": entry.body, "at": entry.at.isoformat(), "by": entry.by and entry.by.email}
                for entry in record.entries
                if entry.kind in ("reply", "note")
            ],
        },
    }


def _select_customers(viewer: Viewer) -> Select[Any]:
    return findable_customers.select_readable(viewer).options(
        selectinload(Customer.contacts).selectinload(Contact.points),
        selectinload(Customer.tags),
        selectinload(Customer.products),
    )


def _customer(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.external_id or f"customer-{customer.id}",
        "title": customer.name,
        "text": customer.notes,
        "lang": customer.language,
        "meta": {
            **customer.meta,
            "kind": customer.kind,
            "region": customer.region,
            "segment": customer.segment,
            "emails": contacts.emails(customer),
            "phones": contacts.phones(customer),
            "products": [product.name for product in customer.products],
            "tags": [tag.name for tag in customer.tags],
        },
    }


LINE = ("id", "title", "text", "lang", "url", "meta")
EXPORTS: Mapping[str, Export] = {
    "articles": Export(Article, _select_articles, _article, LINE),
    "records": Export(Record, _select_records, _record, LINE),
    "customers": Export(Customer, _select_customers, _customer, LINE),
}
META_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "articles": (
        *("kind", "state", "audience", "summary", "category", "products", "tags"),
        *("environment", "issue", "cause", "resolution", "lesson", "outcome", "updated_at"),
    ),
    "records": (
        *("number", "kind", "state", "priority", "customer", "product", "serial_number", "category", "tags"),
        *("assignee", "resolution", "created_at", "updated_at"),
    ),
    "customers": ("kind", "region", "segment", "emails", "phones", "products", "tags"),
}
"""What of `meta` gets a column of its own where the file is a table."""


def table_columns(kind: str) -> tuple[str, ...]:
    """Return the columns of a table of this kind."""
    return (*LINE[:-1], *META_COLUMNS[kind])


def as_table_row(line: Mapping[str, Any]) -> dict[str, Any]:
    """Spread a line's `meta` over the columns of a table."""
    return {**line["meta"], **{name: line.get(name) for name in LINE[:-1]}}
