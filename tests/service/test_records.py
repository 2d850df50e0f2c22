"""Service records: their life, who may do what, and how they come in."""

import time

import pytest
from sqlalchemy import select

from portal import audit, outbox
from portal.access import Forbidden
from portal.customers import batches as customer_batches
from portal.customers import contacts, customers
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db
from portal.knowledge.models import Article
from portal.service import batches, entries, links, reading, records, states
from portal.service.models import KINDS, STATES, Entry, Record
from portal.vocabulary.models import Category, Product


@pytest.fixture
def asked(people):
    """A record that Alice opened."""
    return records.create(by=people.alice.viewer, subject="It does not print", description="Since Monday.")


def timeline(person, record):
    return [(entry.kind, entry.body or entry.new_state) for entry in reading.load_timeline(person.viewer, record)]


def article(title="How to print", **values):
    made = Article(kind="faq", title=title, slug=title.lower().replace(" ", "-"), **{"state": "published", **values})
    db.session.add(made)
    outbox.record(made)
    db.session.commit()
    return made


def test_a_customer_opens_a_record_for_their_own_company(people, asked):
    assert asked.number == "R-000001"
    assert (asked.customer_id, asked.requester_id, asked.state) == (people.company_a, people.alice.user_id, "new")
    assert outbox.version_of("record", asked.id) == (1, 0)
    assert reading.get_readable(people.alice.viewer, "r-000001").id == asked.id
    for outsider in (people.ann, people.bob):
        with pytest.raises(Missing):
            reading.get_readable(outsider.viewer, "R-000001")


@pytest.mark.parametrize(
    "name", ["priority", "customer_id", "contact_id", "requester_id", "assignee_id", "tags", "state", "number", "id"]
)
def test_customers_set_declared_fields_only(people, name):
    with pytest.raises(Invalid) as caught:
        records.create(by=people.alice.viewer, subject="x", **{name: people.company_b})
    assert set(caught.value.fields) == {name}


def test_ids_that_are_not_theirs_are_refused_like_missing_ones(people):
    inner = Category(name="Inner", slug="inner", audience="internal", effective_audience="internal")
    db.session.add(inner)
    db.session.commit()
    sentences = set()
    for category_id in (inner.id, 4711):
        with pytest.raises(Invalid) as caught:
            records.create(by=people.alice.viewer, subject="x", category_id=category_id)
        sentences.add(caught.value.fields["category_id"])
    assert len(sentences) == 1
    assert records.create(by=people.carol.viewer, subject="x", category_id=inner.id).category_id == inner.id


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"subject": " "}, {"subject"}),
        ({"subject": "x" * 301}, {"subject"}),
        ({"subject": "x", "kind": "?"}, {"kind"}),
        ({"subject": "x", "product_id": 99}, {"product_id"}),
        ({"subject": "x", "product_id": "99999999999999999999"}, {"product_id"}),
        ({"subject": "x", "product_id": -1}, {"product_id"}),
        ({"subject": "x", "product_id": True}, {"product_id"}),
        ({"subject": "x", "description": "\ud800"}, {"description"}),
        ({"subject": "x", "assignee_id": 1}, {"assignee_id"}),
        ({"subject": "x", "customer_id": 99}, {"customer_id"}),
        ({"subject": "", "priority": "now", "kind": 7}, {"subject", "priority", "kind"}),
    ],
)
def test_what_cannot_be_used_is_named(people, fields, refused):
    assert people.alice.user_id == 1
    with pytest.raises(Invalid) as caught:
        records.create(by=people.carol.viewer, **fields)
    assert set(caught.value.fields) == refused


def test_a_contact_must_be_of_the_customer(people):
    one = customers.create(by=people.carol.viewer, name="One", contacts=[contacts.ContactDraft(name="Eve")])
    with pytest.raises(Invalid) as caught:
        records.create(by=people.carol.viewer, subject="x", customer_id=people.company_a, contact_id=one.contacts[0].id)
    assert set(caught.value.fields) == {"contact_id"}


def test_one_form_sent_twice_makes_one_record_and_one_reply(people):
    made = [records.create(by=people.alice.viewer, subject="x", submission="s1").id for _ in range(2)]
    assert made[0] == made[1]
    assert records.create(by=people.bob.viewer, subject="mine", submission="s1").id != made[0]
    record = db.session.get(Record, made[0])
    said = [entries.reply(record, by=people.alice.viewer, body="hello", submission="e1").id for _ in range(2)]
    assert said[0] == said[1]
    assert timeline(people.alice, record) == [("reply", "hello")]


def test_replies_move_the_record(people, asked):
    entries.reply(asked, by=people.carol.viewer, body="Is it on?", state="waiting")
    assert asked.state == "waiting"
    entries.reply(asked, by=people.alice.viewer, body="Yes.")
    assert asked.state == "open"
    states.resolve(asked, by=people.carol.viewer, resolution="Turn it off and on.")
    assert (asked.state, asked.resolution) == ("resolved", "Turn it off and on.")
    assert asked.resolved_at is not None
    entries.reply(asked, by=people.alice.viewer, body="No.")
    assert (asked.state, asked.resolved_at) == ("open", None)
    assert timeline(people.alice, asked) == [
        ("reply", "Is it on?"),
        ("state", "waiting"),
        ("reply", "Yes."),
        ("state", "open"),
        ("state", "Turn it off and on."),
        ("reply", "No."),
        ("state", "open"),
    ]
    assert outbox.version_of("record", asked.id)[0] == 6 - 1
    assert list(audit.verify()) == []


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_only_declared_transitions_happen(people, asked, old, new):
    asked.state = old
    outbox.record(asked)
    db.session.commit()
    if new in states.TRANSITIONS[old]:
        assert states.change_state(asked, by=people.carol.viewer, state=new).state == new
    else:
        with pytest.raises(Invalid):
            states.change_state(asked, by=people.carol.viewer, state=new)
        assert db.session.get(Record, asked.id).state == old


def test_an_internal_note_never_reaches_a_customer(people, asked):
    entries.note(asked, by=people.carol.viewer, body="canary")
    assert timeline(people.alice, asked) == []
    assert timeline(people.carol, asked) == [("note", "canary")]
    with pytest.raises(Forbidden):
        entries.note(asked, by=people.alice.viewer, body="x")


def test_others_records_are_like_missing_ones_for_every_operation(people, asked):
    bob = people.bob.viewer
    with pytest.raises(Missing):
        entries.reply(asked, by=bob, body="hi")
    with pytest.raises(Missing):
        states.say_solved(asked, by=bob)
    for refused in (
        lambda: states.change_state(asked, by=bob, state="open"),
        lambda: records.assign(asked, by=bob, assignee_id=None),
        lambda: records.save(asked, by=bob, version=asked.version, subject="x"),
        lambda: states.resolve(asked, by=bob, resolution="x"),
        lambda: links.link_article(asked, by=bob, article_id=1),
        lambda: records.delete(asked, by=bob),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert outbox.version_of("record", asked.id)[0] == 1


def test_a_customer_says_solved_but_sets_no_other_state(people, asked):
    with pytest.raises(Invalid):
        entries.reply(asked, by=people.alice.viewer, body="x", state="closed")
    states.say_solved(asked, by=people.alice.viewer)
    assert asked.state == "resolved"
    assert timeline(people.alice, asked) == [("state", "resolved")]


def test_records_are_assigned_to_staff_only(people, asked):
    records.assign(asked, by=people.carol.viewer, assignee_id=people.dora.user_id)
    assert asked.assignee_id == people.dora.user_id
    for nobody in (people.alice.user_id, 4711):
        with pytest.raises(Invalid):
            records.assign(asked, by=people.carol.viewer, assignee_id=nobody)
    assert records.assign(asked, by=people.carol.viewer, assignee_id=None).assignee_id is None
    assert [user.name for user in reading.load_staff()] == ["Carol", "Dora", "Erin", "Fred"]


def test_saving_over_a_newer_version_shows_both(people, asked):
    seen = asked.version
    records.save(asked, by=people.carol.viewer, version=seen, priority="high", tags=["printer"])
    with pytest.raises(Conflict) as caught:
        records.save(asked, by=people.dora.viewer, version=seen, priority="low")
    assert (caught.value.current["priority"], caught.value.given["priority"]) == ("high", "low")
    assert db.session.get(Record, asked.id).priority == "high"


def test_articles_are_linked_only_if_they_may_be_read_and_shown_so(people, asked):
    public, inner = article(), article("Inner ways", audience="internal")
    draft = article("Draft", state="draft", owner_id=people.dora.user_id)
    links.link_article(asked, by=people.carol.viewer, article_id=public.id)
    links.link_article(asked, by=people.carol.viewer, article_id=public.id)
    states.resolve(asked, by=people.carol.viewer, resolution="As written.", article_id=inner.id)
    for hidden in (draft.id, 4711):
        with pytest.raises(Invalid):
            links.link_article(asked, by=people.carol.viewer, article_id=hidden)
    assert [a.id for a in reading.load_articles(people.carol.viewer, asked)] == [public.id, inner.id]
    assert [a.id for a in reading.load_articles(people.alice.viewer, asked)] == [public.id]
    links.unlink_article(asked, by=people.carol.viewer, article_id=public.id)
    assert [a.id for a in reading.load_articles(people.carol.viewer, asked)] == [inner.id]
    with pytest.raises(Missing):
        links.unlink_article(asked, by=people.carol.viewer, article_id=public.id)


def test_records_are_linked_in_both_directions(people, asked):
    other = records.create(by=people.bob.viewer, subject="Same here")
    links.link_record(asked, by=people.carol.viewer, number=other.number)
    assert [r.id for r in reading.load_linked(people.carol.viewer, other)] == [asked.id]
    assert reading.load_linked(people.bob.viewer, other) == []
    for number in (asked.number, "R-999999", "nonsense"):
        with pytest.raises(Invalid):
            links.link_record(asked, by=people.carol.viewer, number=number)
    links.unlink_record(other, by=people.carol.viewer, number=asked.number)
    assert reading.load_linked(people.carol.viewer, asked) == []


def test_a_deleted_record_leaves_its_outbox_row_and_its_number_unused(people, asked):
    record_id = asked.id
    entries.note(asked, by=people.carol.viewer, body="x")
    records.delete(asked, by=people.erin.viewer)
    assert db.session.query(Entry).count() == 0
    assert outbox.version_of("record", record_id)[0] == 3
    assert records.create(by=people.alice.viewer, subject="next").number == "R-000002"


# Imports


def line(number=1, **meta):
    return {"id": f"t{number}", "title": "Leaking", "text": "Oil below.", "lang": "en", "meta": meta}


def test_a_whole_line_is_taken(people):
    customer_batches.import_batch([{"id": "C1", "title": "Gamma"}], source="old", by=None)
    outcome = batches.import_batch(
        [
            line(
                kind="repair",
                state="resolved",
                priority="high",
                customer="C1",
                product="Lathe 3",
                category="Leaks",
                tags=["oil", "seal"],
                serial_number="SN-1",
                resolution="New seal.",
                assignee="carol@example.com",
                requester="alice@example.com",
                created_at="2024-02-01",
                cost="12",
                entries=[
                    {"kind": "reply", "body": "Since when?", "by": "carol@example.com", "at": "2024-02-01T10:00:00Z"},
                    {"body": "Monday.", "from": "customer", "author": "Li Wei", "at": "2024-02-02T10:00:00+08:00"},
                    {"kind": "note", "body": "inner", "by": "carol@example.com", "at": "2024-02-03"},
                    {"kind": "state", "old_state": "open", "new_state": "resolved", "at": "2024-02-04"},
                ],
            )
        ],
        source="old",
        by=people.erin.viewer,
    )[0]
    assert (outcome.outcome, outcome.reason) == ("created", "")
    record = db.session.get(Record, outcome.id)
    assert (record.subject, record.description, record.kind, record.state) == (
        "Leaking",
        "Oil below.",
        "repair",
        "resolved",
    )
    assert record.customer.name == "Gamma"
    assert (record.product.name, record.category.name) == ("Lathe 3", "Leaks")
    assert [tag.name for tag in record.tags] == ["oil", "seal"]
    assert record.created_at.isoformat() == "2024-02-01T00:00:00+00:00"
    assert record.updated_at.isoformat() == "2024-02-04T00:00:00+00:00"
    assert record.meta == {"cost": "12"}
    assert record.assignee_id == people.carol.user_id
    entries = reading.load_timeline(people.carol.viewer, record)
    assert [(e.kind, e.is_from_customer, e.is_internal) for e in entries] == [
        ("reply", False, False),
        ("reply", True, False),
        ("note", False, True),
        ("state", False, False),
    ]
    assert [e.kind for e in reading.load_timeline(people.alice.viewer, record)] == ["reply", "reply", "state"]


def test_an_import_is_taken_once_and_changed_lines_update(people):
    entry = {"kind": "reply", "body": "a", "at": "2024-01-01"}
    lines = [line(1, entries=[entry]), line(2), line(3, state="open")]
    first = batches.import_batch(lines, source="old", by=None)
    again = batches.import_batch(lines, source="old", by=None)
    more = [line(1, entries=[entry, {"kind": "reply", "body": "b"}]), line(2), {**line(3), "title": "Fixed"}]
    changed = batches.import_batch(more, source="old", by=None)
    assert [o.outcome for o in first] == ["created"] * 3
    assert [o.outcome for o in again] == ["unchanged"] * 3
    assert [o.outcome for o in changed] == ["updated", "unchanged", "updated"]
    record = db.session.get(Record, first[0].id)
    assert [e.body for e in reading.load_timeline(people.carol.viewer, record)] == ["a", "b"]
    third = db.session.get(Record, first[2].id)
    assert (third.subject, third.state) == ("Fixed", "open")


def test_categories_and_products_are_known_by_slug_and_name(people):
    db.session.add_all([Category(name="Warranty and repair", slug="warranty"), Product(name="Lathe 3", slug="lathe-3")])
    db.session.commit()
    lines = [
        line(1, category="warranty", product="lathe 3"),
        line(2, category="Warranty and Repair", product="lathe-3"),
    ]
    made = [db.session.get(Record, one.id) for one in batches.import_batch(lines, source="old", by=None)]
    assert {record.category.slug for record in made} == {"warranty"}
    assert {record.product.slug for record in made} == {"lathe-3"}


def test_a_customer_who_comes_later_is_linked_by_the_next_import(people):
    first = batches.import_batch([line(customer="Gamma")], source="old", by=None)[0]
    assert first.outcome == "created"
    assert "'Gamma'" in first.reason
    customer_batches.import_batch([{"id": "C1", "title": "Gamma"}], source="old", by=None)
    assert batches.import_batch([line(customer="Gamma")], source="old", by=None)[0].outcome == "updated"
    assert db.session.get(Record, first.id).customer.name == "Gamma"


def test_a_refused_line_loses_no_other(people):
    outcomes = batches.import_batch(
        [
            line(1),
            {"title": "no id"},
            {"id": "3"},
            line(4, kind="war"),
            line(5, created_at="yesterday"),
            line(6, created_at="9999-12-31T23:59:59-10:00"),
            line(7, entries="x"),
            line(8, entries=[{"kind": "reply"}]),
            line(9, note="a\x00b"),
            {"id": "10", "title": ["list"]},
            {"id": "11", "title": "x", "meta": 3},
            line(12, state="open"),
        ],
        source="old",
        by=None,
    )
    assert [o.outcome for o in outcomes] == ["created", *["refused"] * 10, "created"]
    assert all(o.reason for o in outcomes[1:-1])
    assert db.session.query(Record).count() == 2


def test_a_line_twice_in_one_batch_makes_one_record_and_a_dry_run_none(people):
    assert [o.outcome for o in batches.import_batch([line()], source="old", by=None, dry_run=True)] == ["created"]
    assert db.session.query(Record).count() == 0
    outcomes = batches.import_batch([line(), line(), line(priority="low")], source="old", by=None)
    assert [o.outcome for o in outcomes] == ["created", "unchanged", "updated"]
    assert db.session.query(Record).count() == 1


def test_imports_are_bulk_work_that_single_saves_overtake(people):
    made = batches.import_batch([line()], source="old", by=None)[0]
    rows = {row.object_id: row.is_bulk for row in db.session.scalars(select(outbox.OutboxRow)) if row.kind == "record"}
    assert rows == {made.id: True}


@pytest.mark.thorough
def test_imports_are_fast(people):
    texts = [f"The hydraulic pump number {n} loses pressure after some hours of work. " * 5 for n in range(50)]
    lines = [
        {
            "id": str(n),
            "title": f"Pump {n} loses pressure",
            "text": texts[n % 50],
            "lang": "en",
            "meta": {
                "kind": KINDS[n % 4],
                "product": f"Pump {n % 7}",
                "category": f"Category {n % 5}",
                "tags": [f"tag{n % 9}", f"tag{n % 4}"],
                "created_at": "2024-01-01",
                "entries": [
                    {"kind": "reply", "body": texts[(n + 1) % 50], "at": "2024-01-02"},
                    {"kind": "note", "body": "look inside", "at": "2024-01-03"},
                ],
            },
        }
        for n in range(1000)
    ]
    began = time.process_time()
    for start in range(0, len(lines), 200):
        outcomes = batches.import_batch(lines[start : start + 200], source="speed", by=None)
        assert {o.outcome for o in outcomes} == {"created"}
    rate = len(lines) / (time.process_time() - began)
    print(f"{rate:.0f} records for each second of the processor")
    assert rate > 400
    assert db.session.query(Product).count() == 7
