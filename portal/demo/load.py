"""Loading the demo: once, quickly, and through the same operations that people use.

What is there is recognised by its source and external id and left exactly as it is, so that loading again changes
nothing.  Dates, views and votes, which no operation lets anybody choose, are written beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext
from sqlalchemy import select, update

from portal import outbox
from portal.access import Role, Viewer
from portal.accounts import passwords, users
from portal.accounts.models import User
from portal.accounts.sign_in import find_user
from portal.customers import batches as customer_batches
from portal.customers.models import Contact, Customer
from portal.demo import searches, steering, timeline
from portal.demo.content import (
    LINK,
    WrittenArticle,
    WrittenRecord,
    read_articles,
    read_catalogue,
    read_customers,
    read_records,
)
from portal.errors import OperationError
from portal.extensions import db, now
from portal.knowledge import articles, batches
from portal.knowledge.models import Article, ArticleSlug, Revision
from portal.service import batches as record_batches
from portal.service.models import ArticleLink, Record, RecordLink
from portal.settings import Settings
from portal.slugs import folded, free_slugs, slug_for
from portal.steering import synonyms
from portal.vocabulary import categories, products, tags
from portal.vocabulary.models import Category, Product, ProductFamily, Tag

SOURCE = "demo"
OWN_COMPANY = "cust-morgenkorn"
"""The company whose requests the demo's customer sees."""
SEARCHED_BEFORE = 20
"""How many requests followed a search of the demo at most."""
REVIEWED_AFTER = timedelta(days=180)
_HAN = range(0x3400, 0xA000)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo who can sign in.  The passwords are known to everybody: production refuses the demo."""

    key: str
    name: str
    role: Role
    password: str

    @property
    def email(self) -> str:
        """The address that the account is found by."""
        return f"{self.role}@demo.example"


PEOPLE = (
    Person("caller", "Jana Krüger", Role.CUSTOMER, "orvane-customer"),
    Person("ida", "Ida Lindqvist", Role.AGENT, "orvane-agent"),
    Person("yuting", "陈雨婷 Chen Yuting", Role.EDITOR, "orvane-editor"),
    Person("marcus", "Marcus Whitby", Role.MANAGER, "orvane-manager"),
    Person("pavel", "Pavel Dvorak", Role.ADMIN, "orvane-admin"),
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to sign in as one of the demo's people; `password` is None where somebody has changed it."""

    role: str
    email: str
    password: str | None


@dataclass(slots=True)
class Loaded:
    """What a load has added, by kind, and how to sign in."""

    added: dict[str, int] = field(default_factory=dict)
    sign_ins: list[SignIn] = field(default_factory=list)

    @property
    def is_new(self) -> bool:
        """Say whether anything was added."""
        return any(self.added.values())


@dataclass(frozen=True, slots=True)
class _Words:
    """The vocabulary in the database by the demo's own ids."""

    categories: Mapping[str, Category]
    products: Mapping[str, Product]
    tags: Mapping[str, Tag]

    def tag_names(self, ids: Iterable[str]) -> list[str]:
        """Return what the tags are called now."""
        return [self.tags[one].name for one in ids]

    def product_names(self, ids: Iterable[str]) -> list[str]:
        """Return what the products are called now."""
        return [self.products[one].name for one in ids]


def load_demo(*, settings: Settings, at: datetime | None = None) -> Loaded:
    """Load what is missing of the demo and commit it, kind by kind.  `at` is the moment its dates count back from.

    Raises:
        OperationError: the portal runs in production.
    """
    if settings.is_production:
        raise OperationError(
            gettext(
                "The demo is not loaded in production: its passwords are known to everybody. "
                "Unset CASEBOOK_ENV, with a data folder and a database of its own, to try it."
            )
        )
    at = at or now()
    loaded = Loaded()
    loaded.added["users"] = _load_staff()
    staff = _accounts()
    editor = staff["yuting"].viewer
    words = _load_words(by=editor)
    loaded.added["customers"] = _load_customers(words, by=staff["marcus"].viewer, at=at)
    loaded.added["users"] += _load_own_customer()
    loaded.added["articles"] = _load_articles(words, _accounts(), by=editor, at=at)
    loaded.added["records"] = _load_records(words, _accounts(), by=staff["marcus"].viewer, at=at)
    loaded.added |= steering.load(_known(Article, [one.id for one in read_articles()]), by=editor, at=at)
    own = select(Record.id).where(Record.source == SOURCE).order_by(Record.id).limit(SEARCHED_BEFORE)
    loaded.added["searches"] = searches.load(at=at, requests=db.session.scalars(own).all())
    accounts = _accounts()
    loaded.sign_ins = [
        SignIn(
            person.role.value,
            person.email,
            person.password if passwords.is_right(person.password, accounts[person.key].password_hash) else None,
        )
        for person in PEOPLE
    ]
    return loaded


# People


def _load_staff() -> int:
    added = 0
    for person in PEOPLE:
        if person.role != Role.CUSTOMER and find_user(person.email) is None:
            users.create(name=person.name, email=person.email, role=person.role, by=None, password=person.password)
            added += 1
    return added


def _load_own_customer() -> int:
    person = PEOPLE[0]
    if find_user(person.email) is not None:
        return 0
    company = _known(Customer, [OWN_COMPANY])[OWN_COMPANY]
    users.create(
        name=person.name,
        email=person.email,
        role=person.role,
        by=None,
        customer_id=company.id,
        password=person.password,
    )
    return 1


def _accounts() -> dict[str, User]:
    """Return the accounts that are there, by the names the content uses."""
    found = {person.key: find_user(person.email) for person in PEOPLE}
    return {key: user for key, user in found.items() if user is not None}


# Vocabulary


def _load_words(*, by: Viewer) -> _Words:
    written = read_catalogue()
    _load_synonyms(written["synonym"], by=by)
    return _Words(
        categories=_load_categories(written["category"], by=by),
        products=_load_products(written["product"], written["families"], by=by),
        tags=_load_tags(written["tags"], by=by),
    )


def _load_categories(written: Sequence[Mapping[str, Any]], *, by: Viewer) -> dict[str, Category]:
    found: dict[str, Category] = {}
    for position, one in enumerate(written):
        # A slug stays when somebody renames the category, so it is what a second load looks for.
        found[one["id"]] = categories.find(slug_for(one["en"]), viewer=by) or categories.create(
            by=by,
            changes={
                "name": one["en"],
                "name_zh": one["zh"],
                "description": one["about_en"],
                "description_zh": one["about_zh"],
                "audience": one.get("audience", "public"),
                "position": position,
                "parent_id": found[one["parent"]].id if "parent" in one else None,
            },
        )
    return found


def _load_products(
    written: Sequence[Mapping[str, Any]], families: Mapping[str, str], *, by: Viewer
) -> dict[str, Product]:
    lines: dict[str, ProductFamily] = {family.slug: family for family in products.load_families()}
    for name, name_zh in families.items():
        if slug_for(name) not in lines:
            made = products.save_family(None, by=by, changes={"name": name, "name_zh": name_zh})
            lines[made.slug] = made
    return {
        one["id"]: products.find(slug_for(one["name"]))
        or products.create(
            by=by,
            changes={
                "name": one["name"],
                "family_id": lines[slug_for(one["family"])].id,
                "part_number": one["part"],
            },
        )
        for one in written
    }


def _load_tags(written: Mapping[str, Sequence[str]], *, by: Viewer) -> dict[str, Tag]:
    return {
        key: tags.find(slug_for(name)) or tags.create(by=by, changes={"name": name, "name_zh": name_zh})
        for key, (name, name_zh) in written.items()
    }


def _load_synonyms(written: Sequence[Mapping[str, Any]], *, by: Viewer) -> None:
    there = {folded(rule.words) for rule in synonyms.load_all()}
    for rule in written:
        first, *others = rule["words"]
        if folded(first) not in there:
            synonyms.save(None, by=by, changes={"words": first, "others": others, "is_two_way": True})


# Customers


def _load_customers(words: _Words, *, by: Viewer, at: datetime) -> int:
    written = read_customers()
    there = _known(Customer, [one["id"] for one in written])
    missing = [one for one in written if one["id"] not in there]
    if not missing:
        return 0
    _expect_all(customer_batches.import_batch([_customer_line(one, words) for one in missing], source=SOURCE, by=by))
    made = _known(Customer, [one["id"] for one in missing])
    for place, one in enumerate(missing):
        # They became customers one after the other, over the three years before the first request.
        created_at = timeline.moment(560 + 13 * place, one["id"], now=at)
        db.session.execute(
            update(Customer)
            .where(Customer.id == made[one["id"]].id)
            .values(created_at=created_at, updated_at=timeline.moment(20 + 11 * place, one["id"], now=at))
            .execution_options(synchronize_session=False)
        )
    _commit("customer", Customer, made.values())
    return len(missing)


def _customer_line(one: Mapping[str, Any], words: _Words) -> dict[str, Any]:
    return {
        "id": one["id"],
        "title": one["name"],
        "text": one["notes"],
        "lang": one["language"],
        "meta": {
            "kind": one["kind"],
            "region": one["region"],
            "segment": one["segment"],
            "tags": words.tag_names(one["tags"]),
            "products": list(dict.fromkeys(words.product_names(product for product, _serial in one["owns"]))),
            "contacts": [
                {"name": name, "job": job, "emails": [email], "phones": [phone]}
                for name, job, email, phone in one["contacts"]
            ],
            "serial_numbers": [serial for _product, serial in one["owns"]],
        },
    }


# Articles


def _load_articles(words: _Words, accounts: Mapping[str, User], *, by: Viewer, at: datetime) -> int:
    written = read_articles()
    there = _known(Article, [one.id for one in written])
    missing = [one for one in written if one.id not in there]
    if not missing:
        return 0
    # Addresses are chosen as the import will choose them, so that articles can link to one another from the start.
    slugs = free_slugs([slug_for(one.title) for one in missing], Article.slug, ArticleSlug.slug)
    addresses = {key: article.slug for key, article in there.items()}
    addresses |= {one.id: slug for one, slug in zip(missing, slugs, strict=True)}
    lines = [_article_line(one, words, addresses, at) for one in missing]
    _expect_all(batches.import_batch(lines, source=SOURCE, by=by))
    made = _known(Article, [one.id for one in missing])
    for one in missing:
        _write_later_wordings(made[one.id], one, addresses, by=by)
    everything = there | made
    for one in missing:
        _date_article(made[one.id], one, everything, accounts, at)
    _commit("article", Article, made.values())
    return len(missing)


def _article_line(one: WrittenArticle, words: _Words, addresses: Mapping[str, str], at: datetime) -> dict[str, Any]:
    texts = dict(one.parts)
    for _why, present, before in reversed(one.earlier):
        texts = {part: text.replace(present, before) for part, text in texts.items()}
    return {
        "id": one.id,
        "kind": one.kind,
        "lang": one.language,
        "title": one.title,
        "summary": one.summary,
        "audience": one.audience,
        "state": one.state,
        "outcome": one.outcome,
        "category": [category.name for category in words.categories[one.category].path()],
        "products": words.product_names(one.products),
        "tags": words.tag_names(one.tags),
        "created_at": _created_at(one, at).isoformat(),
        "updated_at": timeline.moment(one.updated, one.id, now=at).isoformat(),
        **({"text": texts["body"]} if "body" in texts else {}),
        **{part: _linked(text, addresses) for part, text in texts.items()},
    }


def _linked(text: str, addresses: Mapping[str, str]) -> str:
    return LINK.sub(lambda found: f"(/articles/{addresses[found[1]]})", text)


def _created_at(one: WrittenArticle, at: datetime) -> datetime:
    days = one.updated if one.published is None else one.published
    return timeline.moment(days + 3, one.id, now=at)


def _write_later_wordings(article: Article, one: WrittenArticle, addresses: Mapping[str, str], *, by: Viewer) -> None:
    for place, (why, _present, _before) in enumerate(one.earlier, start=1):
        texts = dict(one.parts)
        for _later, present, before in reversed(one.earlier[place:]):
            texts = {part: text.replace(present, before) for part, text in texts.items()}
        articles.save(
            article, by=by, changes={part: _linked(text, addresses) for part, text in texts.items()}, note=why
        )


def _date_article(
    article: Article,
    one: WrittenArticle,
    everything: Mapping[str, Article],
    accounts: Mapping[str, User],
    at: datetime,
) -> None:
    created_at, updated_at = _created_at(one, at), timeline.moment(one.updated, one.id, now=at)
    owner = "marcus" if one.category == "handbook" else "yuting" if one.language == "zh" else "ida"
    db.session.execute(
        update(Article)
        .where(Article.id == article.id)
        .values(
            created_at=created_at,
            updated_at=updated_at,
            published_at=timeline.moment(one.published, one.id, now=at) if one.published is not None else None,
            review_at=updated_at + REVIEWED_AFTER if one.state == "published" else None,
            owner_id=accounts[owner].id,
            is_shared=one.state == "draft" and one.audience == "public",
            views=one.views,
            helpful=one.helpful[0],
            unhelpful=one.helpful[1],
            translation_of_id=everything[one.translation_of].id if one.translation_of else None,
        )
        .execution_options(synchronize_session=False)
    )
    _date_revisions(article, len(one.earlier) + 1, created_at, updated_at, by_id=accounts[owner].id)


def _date_revisions(article: Article, count: int, first: datetime, last: datetime, *, by_id: int) -> None:
    """Spread an article's revisions over its life, always at its hour of the day; a single one was the last change."""
    for number in range(1, count + 1):
        share = (number - 1) / (count - 1) if count > 1 else 1
        moment = (first + (last - first) * share).replace(hour=last.hour, minute=last.minute)
        values: dict[str, Any] = {"at": moment, "by_id": by_id} | ({"note": ""} if number == 1 else {})
        db.session.execute(
            update(Revision)
            .where(Revision.article_id == article.id, Revision.number == number)
            .values(values)
            .execution_options(synchronize_session=False)
        )


# Records


def _load_records(words: _Words, accounts: Mapping[str, User], *, by: Viewer, at: datetime) -> int:
    written = read_records()
    there = _known(Record, [one.id for one in written])
    missing = [one for one in written if one.id not in there]
    if not missing:
        return 0
    told = {one["id"]: one for one in read_customers()}
    courses = {one.id: timeline.follow(one, region=told[one.customer]["region"], now=at) for one in missing}
    missing.sort(key=lambda one: courses[one.id].opened_at)
    lines = [_record_line(one, courses[one.id], told[one.customer], words, accounts) for one in missing]
    _expect_all(record_batches.import_batch(lines, source=SOURCE, by=by))
    made = _known(Record, [one.id for one in missing])
    knowledge = _known(Article, [article for one in missing for article in one.articles])
    for one in missing:
        _link_record(made[one.id], one, courses[one.id], there | made, knowledge, accounts)
    _commit("record", Record, made.values())
    return len(missing)


def _record_line(
    one: WrittenRecord,
    course: timeline.Course,
    customer: Mapping[str, Any],
    words: _Words,
    accounts: Mapping[str, User],
) -> dict[str, Any]:
    serials = dict(reversed([(product, serial) for product, serial in customer["owns"]]))
    caller = customer["contacts"][one.contact]
    has_account = _account_of(accounts, caller[2]) is not None
    return {
        "id": one.id,
        "title": one.subject,
        "text": one.description,
        "lang": "zh" if any(ord(letter) in _HAN for letter in one.subject + one.description) else "en",
        "meta": {
            "kind": one.kind,
            "state": course.state,
            "priority": one.priority,
            "customer": one.customer,
            "product": words.products[one.product].name,
            "serial_number": serials[one.product],
            "category": words.categories[one.category].slug,
            "tags": words.tag_names(one.tags),
            "resolution": course.resolution,
            "assignee": accounts[course.assignee].email if course.assignee else None,
            "requester": caller[2] if has_account else None,
            "created_at": course.opened_at.isoformat(),
            "updated_at": course.updated_at.isoformat(),
            "resolved_at": course.resolved_at.isoformat() if course.resolved_at else None,
            "closed_at": course.closed_at.isoformat() if course.closed_at else None,
            "entries": [_entry(event, caller, accounts, has_account=has_account) for event in course.events],
        },
    }


def _entry(
    event: timeline.Event, caller: Sequence[str], accounts: Mapping[str, User], *, has_account: bool
) -> dict[str, Any]:
    is_caller = event.who == timeline.CALLER
    shape: dict[str, Any] = {
        "kind": event.kind,
        "body": event.text,
        "at": event.at.isoformat(),
        "old_state": event.old_state,
        "new_state": event.new_state,
    }
    if not is_caller:
        return shape | {"by": accounts[event.who].email}
    return shape | ({"by": caller[2]} if has_account else {"author": caller[0], "from": "customer"})


def _account_of(accounts: Mapping[str, User], email: str) -> User | None:
    return next((user for user in accounts.values() if user.email == email), None)


def _link_record(
    record: Record,
    one: WrittenRecord,
    course: timeline.Course,
    everything: Mapping[str, Record],
    knowledge: Mapping[str, Article],
    accounts: Mapping[str, User],
) -> None:
    customer = db.session.get_one(Customer, record.customer_id)
    contacts: Sequence[Contact] = customer.contacts
    db.session.execute(
        update(Record)
        .where(Record.id == record.id)
        .values(contact_id=contacts[one.contact].id)
        .execution_options(synchronize_session=False)
    )
    by_id = accounts[course.assignee].id if course.assignee else None
    for article in one.articles:
        db.session.add(
            ArticleLink(record_id=record.id, article_id=knowledge[article].id, by_id=by_id, at=course.updated_at)
        )
    for related in one.related:
        other = everything[related]
        for left, right in ((record.id, other.id), (other.id, record.id)):
            if db.session.get(RecordLink, (left, right)) is None:
                db.session.add(RecordLink(record_id=left, other_id=right, by_id=by_id, at=course.updated_at))


# What they share


def _known(model: type[Any], ids: Sequence[str]) -> dict[str, Any]:
    """Return what of these ids is there already."""
    rows = db.session.scalars(select(model).where(model.source == SOURCE, model.external_id.in_(ids)))
    return {str(row.external_id): row for row in rows}


def _expect_all(outcomes: Iterable[batches.Outcome | customer_batches.Outcome]) -> None:
    """Stop at the first line that was refused: the demo's own content has to be right."""
    for place, outcome in enumerate(outcomes, start=1):
        if outcome.outcome == "refused":
            raise OperationError(
                gettext(
                    "The demo's own content was refused (line %(place)s): %(reason)s",
                    place=place,
                    reason=outcome.reason,
                )
            )


def _commit(kind: str, model: type[Any], made: Iterable[Any]) -> None:
    """Commit what was written beside the operations, with the outbox rows of all that it concerns."""
    outbox.record_where(kind, select(model.id).where(model.id.in_([one.id for one in made])))
    db.session.commit()
    db.session.expire_all()
    outbox.nudge()
