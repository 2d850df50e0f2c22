"""Object → document.  The builders are pure; the loaders beside them read a batch in a constant number of queries.

`KINDS` says which models are indexed.  What a document shows in clear is readable by each of its `readers`: text that
only staff may search stands in `internal`, and customers' addresses and numbers stand nowhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import defer, joinedload, load_only, raiseload, selectinload

from portal.access import CUSTOMERS, PUBLIC, customer_tokens
from portal.accounts.models import User
from portal.attachments.models import Attachment
from portal.customers.models import Contact, Customer
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search.document import AttachedText, Document, Section, Tombstone
from portal.search.document import Kind as DocumentKind
from portal.service.models import Entry, Record
from portal.vocabulary.models import Category, Product, Tag

HELPFUL_WEIGHT = 10
"""What one "yes, this helped" counts beside one view."""
LOADED_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that no document could be made of, and why.  The reason quotes none of its content."""

    id: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class TranslatedTitle:
    """The title of a linked translation, and who may read it."""

    title: str
    readers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a batch's documents need beside the objects themselves, by the objects' ids."""

    category_slugs: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    attachments: Mapping[int, Sequence[Attachment]] = field(default_factory=dict)
    translations: Mapping[int, Sequence[TranslatedTitle]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedKind:
    """One indexed model: how its objects are read, a batch at a time, and how each becomes a document."""

    name: str
    model: type[Any]
    load: Callable[[Sequence[int]], tuple[list[Any], Surroundings]]
    build: Callable[[Any, int, Surroundings], Document]


def document_id(kind: str, object_id: int) -> str:
    """Return the id under which the index knows an object."""
    return f"{kind}:{object_id}"


def build_article(article: Article, version: int, around: Surroundings) -> Document:
    """Return the document of an article.

    A translation's title helps to find it in the other language, but only where everybody who reads this article may
    read that one, too.
    """
    readers = article.readers
    internal, attachments = _attached(around.attachments.get(article.id, ()))
    sections = tuple(
        Section(anchor=part.get("anchor", ""), heading=part.get("heading", ""), text=part.get("text", ""))
        for part in article.sections
    )
    return Document(
        id=document_id("article", article.id),
        version=version,
        kind=DocumentKind(article.kind),
        readers=readers,
        title=article.title,
        lead=article.summary,
        internal=internal,
        sections=sections,
        identifiers=_unique(product.part_number for product in article.products),
        other_titles=_unique(
            other.title for other in around.translations.get(article.id, ()) if _covers(other.readers, readers)
        ),
        attachments=attachments,
        language=article.language,
        categories=around.category_slugs.get(article.category_id or 0, ()),
        products=tuple(product.slug for product in article.products),
        tags=tuple(tag.slug for tag in article.tags),
        status=article.state,
        source=article.source or "",
        external_id=article.external_id or "",
        url=f"/articles/{article.slug}",
        created_at=article.created_at,
        updated_at=article.updated_at,
        published_at=article.published_at,
        popularity=max(0.0, float(article.views + HELPFUL_WEIGHT * (article.helpful - article.unhelpful))),
    )


def build_record(record: Record, version: int, around: Surroundings) -> Document:
    """Return the document of a service record.  Notes, and the names of people, are for staff alone."""
    internal, attachments = _attached(around.attachments.get(record.id, ()))
    public = [record.description, record.resolution]
    notes = [internal]
    for entry in record.entries:
        (notes if entry.is_internal or entry.kind == "note" else public).append(entry.body)
    people = (record.customer, record.contact, record.requester)
    notes.extend(person.name for person in people if person is not None)
    product = record.product
    return Document(
        id=document_id("record", record.id),
        version=version,
        kind=DocumentKind.RECORD,
        readers=record.readers,
        title=record.subject,
        body=_joined(public),
        internal=_joined(notes),
        identifiers=_unique((record.number, record.serial_number, product.part_number if product else None)),
        attachments=attachments,
        language=record.language,
        categories=around.category_slugs.get(record.category_id or 0, ()),
        products=(product.slug,) if product else (),
        tags=tuple(tag.slug for tag in record.tags),
        status=record.state,
        source=record.source or "",
        external_id=record.external_id or "",
        url=f"/records/{record.number}",
        created_at=record.created_at,
        updated_at=record.updated_at,
        facets={
            "priority": (record.priority,),
            "assignee": (record.assignee.name,) if record.assignee else (),
        },
    )


def build_customer(customer: Customer, version: int, around: Surroundings) -> Document:
    """Return the document of a customer profile.  E-mail addresses and phone numbers are not in it."""
    internal, attachments = _attached(around.attachments.get(customer.id, ()))
    people = [_joined((contact.name, contact.job), ", ") for contact in customer.contacts]
    return Document(
        id=document_id("customer", customer.id),
        version=version,
        kind=DocumentKind.CUSTOMER,
        readers=customer_tokens(),
        title=customer.name,
        body=_joined([*people, customer.region, customer.segment], "\n"),
        internal=_joined((customer.notes, internal)),
        attachments=attachments,
        language=customer.language,
        products=tuple(product.slug for product in customer.products),
        tags=tuple(tag.slug for tag in customer.tags),
        status="archived" if customer.is_archived else "active",
        source=customer.source or "",
        external_id=customer.external_id or "",
        url=f"/customers/{customer.id}",
        created_at=customer.created_at,
        updated_at=customer.updated_at,
    )


def load_articles(ids: Sequence[int]) -> tuple[list[Article], Surroundings]:
    """Read articles with all that their documents need."""
    slugs = _category_slugs()
    articles = db.session.scalars(
        select(Article)
        .where(Article.id.in_(ids))
        .options(
            *(defer(part) for part in (Article.html, Article.body, Article.environment, Article.issue)),
            *(defer(part) for part in (Article.cause, Article.resolution, Article.lesson, Article.meta)),
            selectinload(Article.tags).load_only(Tag.slug),
            selectinload(Article.products).load_only(Product.slug, Product.part_number),
            raiseload("*", sql_only=True),
        )
    ).all()
    return list(articles), Surroundings(slugs, _attachments("article", ids), _translations(articles))


def load_records(ids: Sequence[int]) -> tuple[list[Record], Surroundings]:
    """Read records with all that their documents need."""
    slugs = _category_slugs()
    records = db.session.scalars(
        select(Record)
        .where(Record.id.in_(ids))
        .options(
            defer(Record.meta),
            joinedload(Record.customer).load_only(Customer.name),
            joinedload(Record.contact).load_only(Contact.name),
            joinedload(Record.requester).load_only(User.name),
            joinedload(Record.assignee).load_only(User.name),
            joinedload(Record.product).load_only(Product.slug, Product.part_number),
            selectinload(Record.tags).load_only(Tag.slug),
            selectinload(Record.entries).load_only(Entry.kind, Entry.body, Entry.is_internal),
            raiseload("*", sql_only=True),
        )
    ).all()
    return list(records), Surroundings(slugs, _attachments("record", ids))


def load_customers(ids: Sequence[int]) -> tuple[list[Customer], Surroundings]:
    """Read customers with all that their documents need."""
    customers = db.session.scalars(
        select(Customer)
        .where(Customer.id.in_(ids))
        .options(
            defer(Customer.meta),
            selectinload(Customer.contacts).load_only(Contact.name, Contact.job),
            selectinload(Customer.tags).load_only(Tag.slug),
            selectinload(Customer.products).load_only(Product.slug),
            raiseload("*", sql_only=True),
        )
    ).all()
    return list(customers), Surroundings({}, _attachments("customer", ids))


KINDS: Mapping[str, IndexedKind] = {
    kind.name: kind
    for kind in (
        IndexedKind(name="article", model=Article, load=load_articles, build=build_article),
        IndexedKind(name="record", model=Record, load=load_records, build=build_record),
        IndexedKind(name="customer", model=Customer, load=load_customers, build=build_customer),
    )
}


def build_batch(kind: str, versions: Mapping[int, int]) -> Iterator[Document | Tombstone | Refusal]:
    """Yield what the index shall hold of these objects, given by id with the version read **before** this call.

    An object that is not there yields a tombstone.  Objects are read anew, a limited number at a time.
    """
    if kind not in KINDS:
        yield from (Tombstone(id=document_id(kind, number), version=version) for number, version in versions.items())
        return
    indexed = KINDS[kind]
    wanted = sorted(versions)
    for start in range(0, len(wanted), LOADED_AT_ONCE):
        ids = wanted[start : start + LOADED_AT_ONCE]
        # What an earlier transaction read must not stand in for what the rows hold now.
        db.session.rollback()
        objects, around = indexed.load(ids)
        found = {thing.id: thing for thing in objects}
        for object_id in ids:
            name, version = document_id(kind, object_id), versions[object_id]
            if object_id not in found:
                yield Tombstone(id=name, version=version)
                continue
            try:
                document = indexed.build(found[object_id], version, around)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                yield Refusal(name, version, f"no document could be made of it ({type(error).__name__})")
            else:
                yield document
    db.session.rollback()


def size_of(item: Document | Tombstone) -> int:
    """Estimate how many bytes an item takes on its way to the engine."""
    if isinstance(item, Tombstone):
        return 100
    texts = len(item.title) + len(item.lead) + len(item.body) + len(item.internal)
    texts += sum(len(section.text) + len(section.heading) for section in item.sections)
    texts += sum(len(attachment.text) for attachment in item.attachments)
    # Chinese takes three bytes a character and analysed copies of the text go along.
    return 500 + 3 * texts


def _category_slugs() -> dict[int, tuple[str, ...]]:
    """Return, for each category, its slug and those of all above it; and leave the categories in the session."""
    categories = {
        category.id: category
        for category in db.session.scalars(
            select(Category).options(
                load_only(Category.slug, Category.parent_id, Category.effective_audience), raiseload("*", sql_only=True)
            )
        )
    }
    slugs: dict[int, tuple[str, ...]] = {}
    for category_id in categories:
        above: dict[int, str] = {}
        here = categories.get(category_id)
        while here is not None and here.id not in above:
            above[here.id] = here.slug
            here = categories.get(here.parent_id or 0)
        slugs[category_id] = tuple(above.values())
    # The session refers to its objects weakly; held here, `article.category` needs no query of its own.
    db.session.info["indexer.categories"] = categories
    return slugs


def _attachments(owner_kind: str, ids: Sequence[int]) -> dict[int, list[Attachment]]:
    by_owner: dict[int, list[Attachment]] = defaultdict(list)
    rows = db.session.scalars(
        select(Attachment)
        .where(Attachment.owner_kind == owner_kind, Attachment.owner_id.in_(ids))
        .options(load_only(Attachment.owner_id, Attachment.file_name, Attachment.text, Attachment.is_internal))
        .order_by(Attachment.id)
    )
    for attachment in rows:
        by_owner[attachment.owner_id].append(attachment)
    return by_owner


def _translations(articles: Sequence[Article]) -> dict[int, list[TranslatedTitle]]:
    """Return the titles of each article's translations: those of the same original, and the original's own."""
    roots = {article.id: article.translation_of_id or article.id for article in articles}
    wanted = set(roots.values())
    others: dict[int, list[tuple[int, TranslatedTitle]]] = defaultdict(list)
    rows = db.session.scalars(
        select(Article)
        .where(or_(Article.translation_of_id.in_(wanted), Article.id.in_(wanted)))
        .options(
            load_only(
                Article.title,
                Article.translation_of_id,
                Article.state,
                Article.audience,
                Article.category_id,
                Article.owner_id,
                Article.is_shared,
            ),
            raiseload("*", sql_only=True),
        )
        .order_by(Article.id)
    )
    for other in rows:
        others[other.translation_of_id or other.id].append((other.id, TranslatedTitle(other.title, other.readers)))
    return {
        article_id: [title for other_id, title in others[root] if other_id != article_id]
        for article_id, root in roots.items()
        if len(others[root]) > 1
    }


def _covers(readers: frozenset[str], own: frozenset[str]) -> bool:
    """Say whether everybody who holds one of `own` may read what belongs to `readers`."""
    return PUBLIC in readers or own <= readers or (CUSTOMERS in readers and PUBLIC not in own)


def _attached(attachments: Iterable[Attachment]) -> tuple[str, tuple[AttachedText, ...]]:
    """Part the texts of files into what staff alone may search and what every reader may."""
    inside: list[str] = []
    outside: list[AttachedText] = []
    for attachment in attachments:
        if attachment.is_internal:
            inside += (attachment.file_name, attachment.text)
        else:
            outside.append(AttachedText(name=attachment.file_name, text=attachment.text))
    return _joined(inside), tuple(outside)


def _joined(texts: Iterable[str | None], between: str = "\n\n") -> str:
    return between.join(text for text in texts if text)


def _unique(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
