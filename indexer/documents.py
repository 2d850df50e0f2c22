"""Object → document.  The builders are pure; the loaders beside them read a batch in a constant number of queries.

`KINDS` says which models are indexed.  What a document shows in clear is readable by each of its `readers`: text that
only staff may search stands in `internal`, and customers' addresses and numbers stand nowhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, and_, exists, or_, select
from sqlalchemy.orm import aliased

from portal.access import CUSTOMERS, PUBLIC, article_tokens, customer_tokens, record_tokens
from portal.accounts.models import User
from portal.attachments.models import Attachment
from portal.customers.models import Contact, Customer, customer_product, customer_tag
from portal.extensions import db
from portal.knowledge.models import Article, article_product, article_tag
from portal.search.document import AttachedText, Document, Ready, Section, Tombstone
from portal.search.document import Kind as DocumentKind
from portal.service.models import Entry, Record, record_tag
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
class Shelf:
    """A category as documents know it: its slug and those of all above it, and the audience that narrows."""

    slugs: tuple[str, ...]
    audience: str


NOWHERE = Shelf((), "public")


@dataclass(frozen=True, slots=True)
class ProductName:
    """A product as documents know it."""

    slug: str
    part_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a batch's documents need beside the objects' own columns, by the objects' ids; shelves by category."""

    shelves: Mapping[int, Shelf] = field(default_factory=dict)
    tags: Mapping[int, Sequence[str]] = field(default_factory=dict)
    products: Mapping[int, Sequence[ProductName]] = field(default_factory=dict)
    files: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    translations: Mapping[int, Sequence[TranslatedTitle]] = field(default_factory=dict)
    parts: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    """A record's entries, a customer's contacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedKind:
    """One indexed model: how its objects are read, a batch at a time, and how each becomes a document.

    Rows of columns are read, not objects: a rebuild reads every one of them, and objects cost five times as much.
    """

    name: str
    model: type[Any]
    load: Callable[[Sequence[int]], tuple[Sequence[Any], Surroundings]]
    build: Callable[[Any, int, Surroundings], Document]


def document_id(kind: str, object_id: int) -> str:
    """Return the id under which the index knows an object."""
    return f"{kind}:{object_id}"


def build_article(article: Any, version: int, around: Surroundings) -> Document:
    """Return the document of an article, given as a row or an object with its columns.

    A translation's title helps to find it in the other language, but only where everybody who reads this article may
    read that one, too.
    """
    shelf = around.shelves.get(article.category_id or 0)
    readers = _article_readers(article, shelf)
    internal, attachments = _attached(around.files.get(article.id, ()))
    products = around.products.get(article.id, ())
    return Document(
        id=document_id("article", article.id),
        version=version,
        kind=DocumentKind(article.kind),
        readers=readers,
        title=article.title,
        lead=article.summary,
        internal=internal,
        sections=tuple(
            Section(anchor=part.get("anchor", ""), heading=part.get("heading", ""), text=part.get("text", ""))
            for part in article.sections
        ),
        identifiers=_unique(product.part_number for product in products),
        other_titles=_unique(
            other.title for other in around.translations.get(article.id, ()) if _covers(other.readers, readers)
        ),
        attachments=attachments,
        language=article.language,
        categories=(shelf or NOWHERE).slugs,
        products=tuple(product.slug for product in products),
        tags=tuple(around.tags.get(article.id, ())),
        status=article.state,
        source=article.source or "",
        external_id=article.external_id or "",
        url=f"/articles/{article.slug}",
        created_at=article.created_at,
        updated_at=article.updated_at,
        published_at=article.published_at,
        popularity=max(0.0, float(article.views + HELPFUL_WEIGHT * (article.helpful - article.unhelpful))),
        # Two votes each way that nobody gave: one vote alone says little.
        helpfulness=(article.helpful + 2) / (article.helpful + article.unhelpful + 4),
    )


def build_record(record: Any, version: int, around: Surroundings) -> Document:
    """Return the document of a service record.  Notes, and the names of people, are for staff alone."""
    internal, attachments = _attached(around.files.get(record.id, ()))
    public = [record.description, record.resolution]
    notes = [internal]
    for entry in around.parts.get(record.id, ()):
        (notes if entry.is_internal or entry.kind == "note" else public).append(entry.body)
    notes += (record.customer_name, record.contact_name, record.requester_name)
    return Document(
        id=document_id("record", record.id),
        version=version,
        kind=DocumentKind.RECORD,
        readers=record_tokens(customer_id=record.customer_id, requester_id=record.requester_id),
        title=record.subject,
        body=_joined(public),
        internal=_joined(notes),
        identifiers=_unique((record.number, record.serial_number, record.part_number)),
        attachments=attachments,
        language=record.language,
        categories=around.shelves.get(record.category_id or 0, NOWHERE).slugs,
        products=(record.product_slug,) if record.product_slug else (),
        tags=tuple(around.tags.get(record.id, ())),
        status=record.state,
        source=record.source or "",
        external_id=record.external_id or "",
        url=f"/records/{record.number}",
        created_at=record.created_at,
        updated_at=record.updated_at,
        facets={
            "priority": (record.priority,),
            "assignee": (record.assignee_name,) if record.assignee_name else (),
        },
    )


def build_customer(customer: Any, version: int, around: Surroundings) -> Document:
    """Return the document of a customer profile.  E-mail addresses and phone numbers are not in it."""
    internal, attachments = _attached(around.files.get(customer.id, ()))
    people = [_joined((contact.name, contact.job), ", ") for contact in around.parts.get(customer.id, ())]
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
        products=tuple(product.slug for product in around.products.get(customer.id, ())),
        tags=tuple(around.tags.get(customer.id, ())),
        status="archived" if customer.is_archived else "active",
        source=customer.source or "",
        external_id=customer.external_id or "",
        url=f"/customers/{customer.id}",
        created_at=customer.created_at,
        updated_at=customer.updated_at,
    )


_ARTICLE_RIGHTS = (Article.state, Article.audience, Article.category_id, Article.owner_id, Article.is_shared)


def load_articles(ids: Sequence[int]) -> tuple[Sequence[Any], Surroundings]:
    """Read articles with all that their documents need."""
    shelves = _load_shelves()
    articles = db.session.execute(
        select(
            Article.id,
            *_ARTICLE_RIGHTS,
            Article.kind,
            Article.title,
            Article.slug,
            Article.language,
            Article.summary,
            Article.sections,
            Article.translation_of_id,
            Article.source,
            Article.external_id,
            Article.views,
            Article.helpful,
            Article.unhelpful,
            Article.created_at,
            Article.updated_at,
            Article.published_at,
        ).where(Article.id.in_(ids))
    ).all()
    return articles, Surroundings(
        shelves=shelves,
        tags=_load_tags(article_tag.c.article_id, article_tag.c.tag_id, ids),
        products=_load_products(article_product.c.article_id, article_product.c.product_id, ids),
        files=_load_files("article", ids),
        translations=_load_translations(articles, shelves),
    )


def load_records(ids: Sequence[int]) -> tuple[Sequence[Any], Surroundings]:
    """Read records with all that their documents need."""
    assignee, requester = aliased(User), aliased(User)
    records = db.session.execute(
        select(
            Record.id,
            Record.number,
            Record.state,
            Record.priority,
            Record.subject,
            Record.description,
            Record.resolution,
            Record.language,
            Record.serial_number,
            Record.customer_id,
            Record.requester_id,
            Record.category_id,
            Record.source,
            Record.external_id,
            Record.created_at,
            Record.updated_at,
            Customer.name.label("customer_name"),
            Contact.name.label("contact_name"),
            requester.name.label("requester_name"),
            assignee.name.label("assignee_name"),
            Product.slug.label("product_slug"),
            Product.part_number.label("part_number"),
        )
        .outerjoin(Customer, Customer.id == Record.customer_id)
        .outerjoin(Contact, Contact.id == Record.contact_id)
        .outerjoin(requester, requester.id == Record.requester_id)
        .outerjoin(assignee, assignee.id == Record.assignee_id)
        .outerjoin(Product, Product.id == Record.product_id)
        .where(Record.id.in_(ids))
    ).all()
    entries = db.session.execute(
        select(Entry.record_id, Entry.kind, Entry.body, Entry.is_internal)
        .where(Entry.record_id.in_(ids), Entry.body != "")
        .order_by(Entry.at, Entry.id)
    )
    return records, Surroundings(
        shelves=_load_shelves(),
        tags=_load_tags(record_tag.c.record_id, record_tag.c.tag_id, ids),
        files=_load_files("record", ids),
        parts=_by_first(entries),
    )


def load_customers(ids: Sequence[int]) -> tuple[Sequence[Any], Surroundings]:
    """Read customers with all that their documents need."""
    customers = db.session.execute(
        select(
            Customer.id,
            Customer.name,
            Customer.language,
            Customer.region,
            Customer.segment,
            Customer.notes,
            Customer.is_archived,
            Customer.source,
            Customer.external_id,
            Customer.created_at,
            Customer.updated_at,
        ).where(Customer.id.in_(ids))
    ).all()
    contacts = db.session.execute(
        select(Contact.customer_id, Contact.name, Contact.job).where(Contact.customer_id.in_(ids)).order_by(Contact.id)
    )
    return customers, Surroundings(
        tags=_load_tags(customer_tag.c.customer_id, customer_tag.c.tag_id, ids),
        products=_load_products(customer_product.c.customer_id, customer_product.c.product_id, ids),
        files=_load_files("customer", ids),
        parts=_by_first(contacts),
    )


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


def size_of(item: Document | Tombstone | Ready) -> int:
    """Estimate how many bytes an item takes on its way to the engine."""
    if isinstance(item, Ready):
        return len(item.body)
    if isinstance(item, Tombstone):
        return 100
    texts = len(item.title) + len(item.lead) + len(item.body) + len(item.internal)
    texts += sum(len(section.text) + len(section.heading) for section in item.sections)
    texts += sum(len(attachment.text) for attachment in item.attachments)
    # Chinese takes three bytes a character and analysed copies of the text go along.
    return 500 + 3 * texts


def _load_shelves() -> dict[int, Shelf]:
    """Return every category, with the slugs of all above it."""
    rows: dict[int, Any] = {
        row.id: row
        for row in db.session.execute(
            select(Category.id, Category.parent_id, Category.slug, Category.effective_audience)
        )
    }
    shelves: dict[int, Shelf] = {}
    for category_id, row in rows.items():
        above: dict[int, str] = {}
        here: Any = row
        while here is not None and here.id not in above:
            above[here.id] = here.slug
            here = rows.get(here.parent_id or 0)
        shelves[category_id] = Shelf(tuple(above.values()), row.effective_audience)
    return shelves


def _load_tags(owner: Column[Any], tag: Column[Any], ids: Sequence[int]) -> dict[int, list[str]]:
    rows = db.session.execute(
        select(owner, Tag.slug).join(Tag, Tag.id == tag).where(owner.in_(ids)).order_by(Tag.name, Tag.id)
    )
    tags: dict[int, list[str]] = defaultdict(list)
    for owner_id, slug in rows:
        tags[owner_id].append(slug)
    return tags


def _load_products(owner: Column[Any], product: Column[Any], ids: Sequence[int]) -> dict[int, list[ProductName]]:
    rows = db.session.execute(
        select(owner, Product.slug, Product.part_number)
        .join(Product, Product.id == product)
        .where(owner.in_(ids))
        .order_by(Product.name, Product.id)
    )
    products: dict[int, list[ProductName]] = defaultdict(list)
    for owner_id, slug, part_number in rows:
        products[owner_id].append(ProductName(slug, part_number))
    return products


def _load_files(owner_kind: str, ids: Sequence[int]) -> dict[int, list[Any]]:
    return _by_first(
        db.session.execute(
            select(Attachment.owner_id, Attachment.file_name, Attachment.text, Attachment.is_internal)
            .where(Attachment.owner_kind == owner_kind, Attachment.owner_id.in_(ids))
            .order_by(Attachment.id)
        )
    )


def _load_translations(articles: Sequence[Any], shelves: Mapping[int, Shelf]) -> dict[int, list[TranslatedTitle]]:
    """Return the titles of each article's translations: those of the same original, and the original's own."""
    roots = {article.id: article.translation_of_id or article.id for article in articles}
    wanted = set(roots.values())
    others: dict[int, list[tuple[int, TranslatedTitle]]] = defaultdict(list)
    rows = db.session.execute(
        select(Article.id, Article.title, Article.translation_of_id, *_ARTICLE_RIGHTS)
        .where(
            or_(
                Article.translation_of_id.in_(wanted),
                and_(Article.id.in_(wanted), exists().where(_Other.translation_of_id == Article.id)),
            )
        )
        .order_by(Article.id)
    )
    for other in rows:
        readers = _article_readers(other, shelves.get(other.category_id or 0))
        others[other.translation_of_id or other.id].append((other.id, TranslatedTitle(other.title, readers)))
    return {
        article_id: [title for other_id, title in others[root] if other_id != article_id]
        for article_id, root in roots.items()
        if root in others
    }


_Other = aliased(Article)


def _article_readers(article: Any, shelf: Shelf | None) -> frozenset[str]:
    return article_tokens(
        state=article.state,
        audience=article.audience,
        category_audience=shelf.audience if shelf else None,
        owner_id=article.owner_id,
        is_shared=article.is_shared,
    )


def _by_first(rows: Iterable[Any]) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row[0]].append(row)
    return grouped


def _covers(readers: frozenset[str], own: frozenset[str]) -> bool:
    """Say whether everybody who holds one of `own` may read what belongs to `readers`."""
    return PUBLIC in readers or own <= readers or (CUSTOMERS in readers and PUBLIC not in own)


def _attached(files: Iterable[Any]) -> tuple[str, tuple[AttachedText, ...]]:
    """Part the texts of files into what staff alone may search and what every reader may."""
    inside: list[str] = []
    outside: list[AttachedText] = []
    for file in files:
        if file.is_internal:
            inside += (file.file_name, file.text)
        else:
            outside.append(AttachedText(name=file.file_name, text=file.text))
    return _joined(inside), tuple(outside)


def _joined(texts: Iterable[str | None], between: str = "\n\n") -> str:
    return between.join(text for text in texts if text)


def _unique(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
