"""A portal in which every field of everything holds a word of its own, and the rule that says who may meet it.

A canary is a made-up word that stands in exactly one place.  Who may read it is never copied here by hand: it follows
from `portal.access`, by the tokens of the object it stands in and the permissions of its readers.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from typing import Any

from portal import audit, outbox
from portal.access import Audience, Permission, Viewer, article_tokens, audience_is_readable, record_tokens
from portal.accounts import sessions, tokens
from portal.accounts.models import User, UserSession
from portal.attachments import attachments
from portal.customers import customers
from portal.customers.customers import ContactDraft
from portal.extensions import db, now
from portal.knowledge import articles
from portal.knowledge.models import Article, ArticleSlug
from portal.search import log as search_log
from portal.search import saved
from portal.search.models import IndexBuild, IndexCheck, SearchLog
from portal.search.request import SearchRequest
from portal.service import records
from portal.service.models import Record
from portal.steering.models import (
    Configuration,
    JudgedQuery,
    JudgedSet,
    Preview,
    PreviewedChange,
    RuleChange,
    SearchRule,
    Synonym,
)
from portal.vocabulary.models import Category, Product, ProductFamily
from tests.people import People, Person

COMMON = "lanternfish"
"""A word in every text, by which searches find what holds canaries without saying one of them."""
CANARY = re.compile(r"zq\d{4}x", re.IGNORECASE)
DIGITS = re.compile(r"\d")
Rule = Callable[[Viewer], bool]


@dataclass(frozen=True)
class Canary:
    """One word, where it stands, and who may meet it."""

    word: str
    place: str
    is_for: Rule


@dataclass
class House:
    """All canaries, and the addresses of everything that holds them."""

    people: People
    canaries: dict[str, Canary] = field(default_factory=dict)
    phones: dict[str, Canary] = field(default_factory=dict)
    values: list[dict[str, Any]] = field(default_factory=list)
    """For each object the values of the parameters in addresses."""

    def word(self, place: str, is_for: Rule) -> str:
        """Make a canary for a place."""
        word = f"zq{len(self.canaries):04d}x"
        self.canaries[word] = Canary(word, place, is_for)
        return word

    def text(self, place: str, is_for: Rule) -> str:
        """Return a sentence with a canary in it."""
        return f"The {COMMON} says {self.word(place, is_for)} here."

    def phone(self, place: str, is_for: Rule) -> str:
        """Return a telephone number that is a canary."""
        number = f"+493012345{len(self.phones):03d}"
        self.phones[number[1:]] = Canary(number, place, is_for)
        return number

    def found_in(self, text: str) -> set[str]:
        """Return the canaries that a text holds, however they are written."""
        words = {word.lower() for word in CANARY.findall(text)} & set(self.canaries)
        if "3012345" in text or "30 12345" in text:
            digits = "".join(DIGITS.findall(text))
            words |= {number for number in self.phones if number[2:] in digits}
        return words

    def place_of(self, word: str) -> str:
        """Return where a canary stands."""
        return (self.canaries.get(word) or self.phones[word]).place

    def may_meet(self, viewer: Viewer, word: str) -> bool:
        """Say whether a viewer may meet a canary."""
        return (self.canaries.get(word) or self.phones[word]).is_for(viewer)


def may(permission: Permission) -> Rule:
    """Whoever holds a permission."""
    return lambda viewer: viewer.can(permission)


def holders(readers: Iterable[str]) -> Rule:
    """Whoever holds one of an object's tokens."""
    readable = frozenset(readers)
    return lambda viewer: viewer.may_read(readable)


def both(one: Rule, other: Rule) -> Rule:
    """Whoever both rules let."""
    return lambda viewer: one(viewer) and other(viewer)


def either(one: Rule, other: Rule) -> Rule:
    """Whoever one of the rules lets."""
    return lambda viewer: one(viewer) or other(viewer)


def only(person: Person) -> Rule:
    """One person."""
    return lambda viewer: viewer.user_id == person.user_id


STAFF = may(Permission.READ_STAFF)
ANYBODY: Rule = may(Permission.READ)
NOBODY: Rule = lambda _viewer: False  # noqa: E731  A rule like the others.
WORKS_ON_ARTICLES = may(Permission.WRITE_ARTICLES)
STEERS = may(Permission.STEER_SEARCH)


def build(people: People) -> House:
    """Fill a portal with canaries."""
    house = House(people)
    shelves = _vocabulary(house)
    held = _articles(house, shelves)
    _customers(house)
    _records(house, shelves, held)
    _accounts(house)
    _steering(house, held)
    _duties(house)
    db.session.commit()
    return house


def _vocabulary(house: House) -> dict[str, Category]:
    shelves = {}
    for audience in Audience:
        rule: Rule = lambda viewer, audience=audience: audience_is_readable(viewer, audience)  # type: ignore[misc]  # noqa: E731
        name = house.word(f"name of a category for {audience}", rule)
        made = Category(
            name=f"{COMMON} {name}",
            name_zh=f"灯笼鱼 {house.word(f'Chinese name of a category for {audience}', rule)}",
            slug=f"shelf-{audience}",
            description=house.text(f"description of a category for {audience}", rule),
            description_zh=house.text(f"Chinese description of a category for {audience}", rule),
            audience=audience.value,
            effective_audience=audience.value,
        )
        db.session.add(made)
        shelves[audience.value] = made
        house.values.append({"slug": made.slug, "at": "/categories"})
    family = ProductFamily(name=house.word("name of a family", ANYBODY), slug="family-x")
    db.session.add(family)
    db.session.flush()
    product = Product(
        name=f"{COMMON} {house.word('name of a product', ANYBODY)}",
        slug="product-x",
        family_id=family.id,
        part_number=house.word("part number", ANYBODY),
    )
    db.session.add(product)
    db.session.commit()
    house.values += [{"slug": "family-x", "at": "/families"}, {"slug": "product-x", "at": "/products"}]
    return shelves


def _articles(house: House, shelves: dict[str, Category]) -> dict[str, Article]:
    dora, carol = house.people.dora, house.people.carol
    held: dict[str, Article] = {}
    variants = [
        *((f"published for {audience}", "published", audience.value, None, False) for audience in Audience),
        ("published publicly on an internal shelf", "published", "public", "internal", False),
        ("published publicly on customers' shelf", "published", "public", "customers", False),
        ("published internally on a public shelf", "published", "internal", "public", False),
        ("draft", "draft", "public", None, False),
        ("shared draft", "draft", "public", None, True),
        ("archived", "archived", "public", None, False),
    ]
    for number, (name, state, audience, shelf, is_shared) in enumerate(variants):
        readers = article_tokens(
            state=state, audience=audience, category_audience=shelf, owner_id=dora.user_id, is_shared=is_shared
        )
        rule = holders(readers)
        about = f"of the article {name}"
        kind = "case_study" if number % 2 else "faq"
        parts = ("environment", "issue", "cause", "resolution", "lesson") if kind == "case_study" else ("body",)
        tag = house.word(f"tag {about}", rule)
        article = articles.create(
            by=dora.viewer,
            kind=kind,
            state="draft",
            source="elsewhere",
            external_id=house.word(f"external id {about}", rule),
            url=f"https://elsewhere.example/{house.word(f'origin {about}', rule)}",
            note=house.text(f"note of the first revision {about}", both(WORKS_ON_ARTICLES, rule)),
            changes={
                "title": f"{COMMON} {house.word(f'former title {about}', both(WORKS_ON_ARTICLES, rule))} {number}",
                "summary": house.text(f"summary {about}", rule),
                "audience": audience,
                "is_shared": is_shared,
                "category_id": shelves[shelf].id if shelf else None,
                "tags": [tag],
                **{part: f"## {COMMON}\n\n{house.text(f'{part} {about}', rule)}" for part in parts},
            },
        )
        former = article.slug
        articles.save(
            article,
            by=dora.viewer,
            changes={"title": f"{COMMON} {house.word(f'title {about}', rule)} {number}"},
            note=house.text(f"note of a revision {about}", both(WORKS_ON_ARTICLES, rule)),
            state=state,
        )
        article.meta = {"key": house.text(f"meta {about}", both(WORKS_ON_ARTICLES, rule))}
        outbox.record(article)
        words = house.text(f"text in a file {about}", rule)
        file = attachments.store(
            BytesIO(words.encode()),
            file_name=f"{house.word(f'name of a file {about}', rule)}.txt",
            owner_kind="article",
            owner_id=article.id,
            by=dora.viewer,
        )
        file.text, file.text_state = words, "done"
        db.session.commit()
        articles.vote(
            article,
            voter=f"v{number}",
            is_helpful=False,
            reason=house.text(f"a reader's reason {about}", both(WORKS_ON_ARTICLES, rule)),
        )
        held[name] = article
        file_id = file.id
        house.values += [
            {"slug": article.slug, "article_id": article.id, "attachment_id": file_id, "version": 1, "at": "/articles"},
            {"slug": former, "article_id": article.id, "attachment_id": file_id, "version": 2, "at": "/articles"},
            {"slug": tag, "at": "/tags"},
        ]
        assert db.session.get(ArticleSlug, former), former
    # Carol's own draft, which no other agent may read.
    rule = holders(
        article_tokens(
            state="draft", audience="public", category_audience=None, owner_id=carol.user_id, is_shared=False
        )
    )
    own = articles.create(
        by=carol.viewer,
        kind="faq",
        changes={
            "title": f"{COMMON} {house.word('title of an own draft', rule)}",
            "body": house.text("body of an own draft", rule),
        },
    )
    house.values.append({"slug": own.slug, "article_id": own.id, "at": "/articles"})
    held["own draft"] = own
    return held


def _customers(house: House) -> None:
    people = house.people
    for name, company_id, person in (("A", people.company_a, people.alice), ("B", people.company_b, people.bob)):
        company = db.session.get_one(customers.Customer, company_id)
        own = either(STAFF, only(person))
        customers.save(
            company,
            by=people.carol.viewer,
            version=company.version,
            name=f"{COMMON} {house.word(f'name of company {name}', own)}",
            region=house.word(f"region of company {name}", STAFF),
            segment=house.word(f"segment of company {name}", STAFF),
            notes=house.text(f"notes on company {name}", STAFF),
            tags=[house.word(f"tag of company {name}", STAFF)],
            contacts=[
                ContactDraft(
                    name=house.word(f"contact of company {name}", STAFF),
                    job=house.word(f"position at company {name}", STAFF),
                    emails=[f"{house.word(f'address of company {name}', STAFF)}@example.com"],
                    phones=[house.phone(f"number of company {name}", STAFF)],
                )
            ],
        )
        house.values.append({"customer_id": company_id})


def _records(house: House, shelves: dict[str, Category], held: dict[str, Article]) -> None:
    people = house.people
    made: list[Record] = []
    for name, customer_id, person in (
        ("A", people.company_a, people.alice),
        ("B", people.company_b, people.bob),
        ("nobody", None, None),
    ):
        requester = person.user_id if person is not None else None
        rule = holders(record_tokens(customer_id=customer_id, requester_id=requester))
        about = f"of the record of {name}"
        record = records.create(
            by=people.carol.viewer,
            subject=f"{COMMON} {house.word(f'subject {about}', rule)}",
            description=house.text(f"description {about}", rule),
            serial_number=house.word(f"serial number {about}", rule),
            customer_id=customer_id,
            requester_id=requester,
            assignee_id=people.carol.user_id,
            category_id=shelves["public"].id,
            tags=[house.word(f"tag {about}", rule)],
        )
        records.reply(
            record,
            by=people.carol.viewer,
            body=house.text(f"reply {about}", rule),
            files=[_upload(house, f"to a reply {about}", rule)],
        )
        records.note(
            record,
            by=people.carol.viewer,
            body=house.text(f"internal note {about}", STAFF),
            files=[_upload(house, f"to a note {about}", STAFF)],
        )
        if person is not None:
            records.reply(record, by=person.viewer, body=house.text(f"answer {about}", rule))
        records.resolve(record, by=people.carol.viewer, resolution=house.text(f"resolution {about}", rule))
        for file in attachments.load_for("record", record.id):
            file.text, file.text_state = attachments.path_of(file).read_text(), "done"
            house.values.append({"number": record.number, "file_id": file.id, "record_id": record.id})
        record.source, record.external_id = "elsewhere", house.word(f"external id {about}", rule)
        record.meta = {"key": house.text(f"meta {about}", STAFF)}
        outbox.record(record)
        db.session.commit()
        for article in held.values():
            if people.dora.viewer.may_read(article.readers):
                records.link_article(record, by=people.dora.viewer, article_id=article.id)
        made.append(record)
        house.values.append({"number": record.number, "record_id": record.id})
    for record in made:
        for other in made:
            if other is not record:
                records.link_record(record, by=people.carol.viewer, number=other.number)
    house.values += [{"number": one.number, "other": two.number} for one in made for two in made]


def _upload(house: House, about: str, rule: Rule) -> records.Upload:
    text = house.text(f"text in a file {about}", rule)
    return records.Upload(f"{house.word(f'name of a file {about}', rule)}.txt", BytesIO(text.encode()))


def _accounts(house: House) -> None:
    for person in house.people.everybody[1:]:
        own = only(person)
        user = db.session.get_one(User, person.user_id)
        kept = saved.save(
            SearchRequest(viewer=person.viewer, text=f"{COMMON} {house.word(f'kept words of {person.name}', own)}"),
            by=person.viewer,
            name=house.word(f"name of a search of {person.name}", own),
            every="day",
        )
        told = either(own, may(Permission.READ_AUDIT))  # The audit log says who made which token.
        tokens.create(user, name=house.word(f"name of a token of {person.name}", told), by=None)
        sessions.start(user, agent=house.word(f"browser of {person.name}", own))
        db.session.add(
            SearchLog(
                words=f"{COMMON} {house.word(f'searched by {person.name}', either(own, may(Permission.STEER_SEARCH)))}",
                key=f"{COMMON} {person.name}",
                language="en",
                viewer_kind=person.role.value,
                user_id=person.user_id,
                total=1,
                took_ms=1.0,
            )
        )
        db.session.flush()
        session_id = db.session.query(UserSession.id).filter_by(user_id=person.user_id).scalar()
        house.values.append(
            {"user_id": person.user_id, "saved_id": kept.id, "session_id": session_id, "token_id": person.user_id}
        )
    audit.append(
        "thing.done",
        by=house.people.fred.viewer,
        kind="record",
        object_id=1,
        details={"key": house.word("details in the audit log", may(Permission.READ_AUDIT))},
    )
    search_log.settle()
    db.session.commit()


def _steering(house: House, held: dict[str, Article]) -> None:
    dora = house.people.dora
    synonym = Synonym(
        words=house.word("words of a synonym", STEERS),
        others=house.word("others of a synonym", STEERS),
        reason=house.text("reason of a synonym", STEERS),
        owner_id=dora.user_id,
    )
    rule = SearchRule(
        action="pin",
        words=f"{COMMON} {house.word('words of a rule', STEERS)}",
        article_id=held["published for public"].id,
        reason=house.text("reason of a rule", STEERS),
        owner_id=dora.user_id,
    )
    judged = JudgedSet(name=house.word("name of a set", STEERS), source=house.word("source of a set", STEERS))
    configuration = Configuration(
        name=house.word("name of a configuration", STEERS), note=house.text("note of a configuration", STEERS)
    )
    db.session.add_all([synonym, rule, judged, configuration])
    db.session.flush()
    step = RuleChange(
        kind="rule",
        object_id=rule.id,
        user_id=dora.user_id,
        before={"words": house.word("former words of a rule", STEERS), "action": "pin", "is_active": True},
        after={"words": house.word("later words of a rule", STEERS), "action": "pin", "is_active": True},
    )
    query = JudgedQuery(set_id=judged.id, key="1", text=f"{COMMON} {house.word('judged query', STEERS)}")
    preview = Preview(
        kind="rule",
        object_id=rule.id,
        name=house.word("name of a preview", STEERS),
        state="done",
        error=None,
        changes=[
            PreviewedChange(
                words=house.word("previewed words", STEERS),
                viewer_kind="agent",
                before=[{"id": "article:1", "title": house.word("previewed title", STEERS)}],
                after=[],
            )
        ],
    )
    db.session.add_all([step, query, preview])
    db.session.flush()
    house.values.append(
        {
            "synonym_id": synonym.id,
            "rule_id": rule.id,
            "step_id": step.id,
            "preview_id": preview.id,
            "set_id": judged.id,
            "query_id": query.id,
            "configuration_id": configuration.id,
        }
    )


def _duties(house: House) -> None:
    runs = may(Permission.MANAGE_INDEX)
    db.session.add_all(
        [
            IndexBuild(
                name=house.word("name of an index", runs),
                engine="embedded",
                state="failed",
                error=house.text("error of a build", runs),
                finished_at=now() - timedelta(hours=1),
            ),
            IndexCheck(state="failed", error=house.text("error of a check", runs)),
        ]
    )
    db.session.flush()
