"""What the index is told of an object: everything that finds it, nothing that its readers may not read."""

from dataclasses import replace

import pytest

from indexer import documents
from indexer.documents import build_batch
from portal import outbox
from portal.access import ANONYMOUS, Role, viewer_for
from portal.accounts.models import User
from portal.attachments.models import Attachment
from portal.customers.models import Contact, ContactPoint, Customer
from portal.extensions import db
from portal.knowledge.models import Article
from portal.search.document import Kind, Tombstone
from portal.service.models import Entry, Record
from portal.vocabulary.models import Category, Product, Tag
from tests.indexer.conftest import save_article

CUSTOMER = viewer_for(Role.CUSTOMER, user_id=90, customer_id=9)
AGENT = viewer_for(Role.AGENT, user_id=91)


def document_of(thing):
    [document] = build_batch(thing.indexed_kind, {thing.id: 7})
    return document


def store(*things):
    db.session.add_all(things)
    outbox.record(*(thing for thing in things if hasattr(thing, "indexed_kind")))
    db.session.commit()
    return things[0]


def visible_text(document):
    """All that a hit may show to whoever may read it."""
    return repr(replace(document, internal="", readers=frozenset()))


@pytest.fixture
def shelf(app):
    root = Category(slug="hardware", name="Hardware")
    child = Category(slug="printers", name="Printers", parent=root)
    return store(child)


def test_an_article_brings_what_finds_it(shelf):
    article = save_article(
        "Paper jam",
        summary="What to do",
        category=shelf,
        tags=[Tag(slug="paper", name="Paper"), Tag(slug="jam", name="Jam")],
        products=[Product(slug="p-100", name="P 100", part_number="PN-0815")],
        sections=[{"anchor": "a", "heading": "First", "text": "Open the tray."}],
        source="manuals",
        external_id="m/1",
        views=3,
        helpful=2,
        unhelpful=1,
    )
    document = document_of(article)
    assert (document.id, document.version, document.kind) == (f"article:{article.id}", 7, Kind.FAQ)
    assert (document.title, document.lead, document.url) == ("Paper jam", "What to do", "/articles/s-Paper jam")
    assert [(s.anchor, s.heading, s.text) for s in document.sections] == [("a", "First", "Open the tray.")]
    assert document.categories == ("printers", "hardware")
    assert document.tags == ("jam", "paper")
    assert (document.products, document.identifiers) == (("p-100",), ("PN-0815",))
    assert (document.status, document.source, document.external_id) == ("published", "manuals", "m/1")
    assert document.popularity == 13
    assert document.created_at.tzinfo is not None


def test_a_narrow_category_narrows_the_readers(shelf):
    article = save_article("Wide", category=shelf)
    assert ANONYMOUS.may_read(document_of(article).readers)
    shelf.effective_audience = "internal"
    db.session.commit()
    document = document_of(article)
    assert not CUSTOMER.may_read(document.readers)
    assert AGENT.may_read(document.readers)
    assert document.readers == article.readers


@pytest.mark.parametrize("state", ["draft", "published", "archived"])
@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("audience", ["public", "customers", "internal"])
def test_the_readers_are_the_articles_own(app, state, is_shared, audience):
    article = save_article("x", state=state, is_shared=is_shared, audience=audience)
    assert document_of(article).readers == article.readers


def test_a_translations_title_is_told_only_to_those_who_may_read_it(app):
    english = save_article("Paper jam")
    chinese = save_article("卡纸", translation_of=english)
    secret = save_article("Bourrage papier", translation_of=english, audience="internal")
    draft = save_article("Papierstau", translation_of=english, state="draft")
    assert document_of(english).other_titles == ("卡纸",)
    assert document_of(chinese).other_titles == ("Paper jam",)
    assert document_of(secret).other_titles == ("Paper jam", "卡纸")
    assert "Bourrage papier" not in document_of(draft).other_titles


def record(**fields):
    known = {"number": "R-1", "subject": "No light", "description": "The lamp is dark."} | fields
    return store(Record(**known))


def test_a_record_keeps_notes_and_names_inside(app):
    ann = User(name="Agnes Agent", email="a@x.example", role="agent")
    customer = Customer(kind="company", name="Lamps Ltd")
    store(customer)
    found = record(
        customer=customer,
        assignee=ann,
        product=Product(slug="lamp", name="Lamp", part_number="L-7"),
        serial_number="SN-42",
        resolution="New bulb.",
        priority="high",
        entries=[
            Entry(kind="reply", body="Please try another bulb."),
            Entry(kind="note", body="canary in a note", is_internal=True),
            Entry(kind="note", body="canary without a mark"),
        ],
    )
    document = document_of(found)
    assert document.body == "The lamp is dark.\n\nNew bulb.\n\nPlease try another bulb."
    assert "canary" not in visible_text(document)
    assert "Lamps Ltd" not in visible_text(document)
    assert all(text in document.internal for text in ("canary in a note", "canary without a mark", "Lamps Ltd"))
    assert document.identifiers == ("R-1", "SN-42", "L-7")
    assert (document.kind, document.url, document.products) == (Kind.RECORD, "/records/R-1", ("lamp",))
    assert document.facets == {"priority": ("high",), "assignee": ("Agnes Agent",)}
    assert document.readers == found.readers


def test_files_are_searched_by_those_who_may_open_them(app):
    found = record()
    common = {"owner_kind": "record", "owner_id": found.id, "media_type": "text/plain", "size": 1, "sha256": "0" * 64}
    store(
        Attachment(file_name="open.txt", stored_name="a", text="for all", **common),
        Attachment(file_name="hidden.txt", stored_name="b", text="canary inside", is_internal=True, **common),
    )
    document = document_of(found)
    assert [(a.name, a.text) for a in document.attachments] == [("open.txt", "for all")]
    assert "canary" not in visible_text(document)
    assert "hidden.txt" not in visible_text(document)
    assert "canary inside" in document.internal


def test_a_customers_addresses_are_nowhere(app):
    contact = Contact(name="Carla", job="Buyer")
    contact.points = [ContactPoint(key="k", kind="email", sealed=b"carla@x.example", blind_index="carla@x.example")]
    customer = store(
        Customer(
            kind="company", name="Lamps Ltd", region="North", segment="gold", notes="pays late", contacts=[contact]
        )
    )
    document = document_of(customer)
    assert "carla@x.example" not in repr(document)
    assert document.title == "Lamps Ltd"
    assert document.body == "Carla, Buyer\nNorth\ngold"
    assert document.internal == "pays late"
    assert not CUSTOMER.may_read(document.readers)


def test_a_missing_object_is_a_tombstone(app):
    assert list(build_batch("record", {5: 3})) == [Tombstone(id="record:5", version=3)]


@pytest.mark.parametrize("kind", documents.KINDS)
def test_the_number_of_queries_does_not_grow_with_the_batch(shelf, kind, count_queries):
    def things(count, first):
        for n in range(first, first + count):
            tag, product = Tag(slug=f"t{n}", name=f"t{n}"), Product(slug=f"p{n}", name=f"p{n}")
            if kind == "article":
                yield Article(kind="faq", title=f"{n}", slug=f"{n}", sections=[], tags=[tag], products=[product])
            elif kind == "record":
                entries = [Entry(kind="reply", body="x")]
                yield Record(number=f"{n}", subject=f"{n}", product=product, tags=[tag], entries=entries)
            else:
                yield Customer(kind="person", name=f"{n}", contacts=[Contact(name="c")], tags=[tag], products=[product])

    used = []
    for count, first in ((1, 0), (40, 100)):
        made = list(things(count, first))
        store(*made)
        ids = {thing.id: 1 for thing in made}
        with count_queries() as counted:
            assert len(list(build_batch(kind, ids))) == count
        used.append(counted())
    assert used[0] == used[1] <= 8
