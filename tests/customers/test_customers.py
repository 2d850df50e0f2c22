"""Customer profiles: what is kept, found, refused and never told."""

import pytest
from sqlalchemy import select, text

from portal import audit, outbox
from portal.access import Forbidden
from portal.audit import AuditEntry
from portal.customers import batches, contacts, customers, points
from portal.customers.contacts import ContactDraft
from portal.customers.models import Contact, ContactPoint, Customer
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db
from portal.service import records


def test_a_customer_is_kept_with_contacts_tags_and_products(people):
    made = customers.create(
        by=people.carol.viewer,
        kind="company",
        name="  Gamma   Tools ",
        region="TW",
        tags=["Key account", "key account"],
        products=["Lathe 3"],
        contacts=[ContactDraft(name="Li Wei", job="Buyer", emails=["Li.Wei@Example.com"], phones=["(02) 2345-6789"])],
    )
    again = customers.get_readable(people.carol.viewer, made.id)
    assert again.name == "Gamma Tools"
    assert [tag.name for tag in again.tags] == ["Key account"]
    assert [product.name for product in again.products] == ["Lathe 3"]
    assert contacts.emails(again) == ["li.wei@example.com"]
    assert contacts.phones(again) == ["+886223456789"]
    assert outbox.version_of("customer", made.id) == (1, 0)


def test_contact_data_lies_sealed_in_the_database(people):
    customers.create(by=people.carol.viewer, name="Gamma", emails=["canary@example.com"], phones=["+886912345678"])
    raw = db.session.connection().connection.dbapi_connection
    dump = "\n".join(raw.iterdump())
    assert "canary" not in dump
    assert "912345678" not in dump


@pytest.mark.parametrize(
    "typed",
    ["gamma", "wei", "LI.WEI@example.com", "+886 2 2345 6789", "02-2345-6789", "0223456789", "886223456789", "C-17"],
)
def test_a_caller_is_found_by_what_they_say(people, typed):
    made = customers.create(
        by=people.carol.viewer,
        name="Gamma Tools",
        region="Taiwan",
        contacts=[ContactDraft(name="Li Wei", emails=["li.wei@example.com"], phones=["02 2345 6789"])],
    )
    made.external_id = "C-17"
    outbox.record(made)
    db.session.commit()
    assert [found.id for found in customers.look_up(people.carol.viewer, typed)] == [made.id]
    assert customers.look_up(people.alice.viewer, typed) == []


@pytest.mark.parametrize("typed", ["", "  ", "zzz", "%", "_", "@", "+886 2 9999 9999", "nobody@example.com"])
def test_nobody_is_found_by_what_nobody_said(people, typed):
    customers.create(by=people.carol.viewer, name="Gamma", emails=["a@example.com"], phones=["+886223456789"])
    assert customers.look_up(people.carol.viewer, typed) == []


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "x" * 201}, {"name"}),
        ({"name": "a\x00b"}, {"name"}),
        ({"name": "a\ud800"}, {"name"}),
        ({"name": "x", "kind": "god"}, {"kind"}),
        ({"name": "x", "language": "nonsense!"}, {"language"}),
        ({"name": "x", "emails": ["no address"]}, {"emails"}),
        ({"name": "x", "region": "TW", "phones": ["12"]}, {"phones"}),
        ({"name": "x", "phones": ["call me"]}, {"phones"}),
        ({"name": "", "kind": "god", "emails": ["@"]}, {"name", "kind", "emails"}),
        ({"name": "x", "contacts": [ContactDraft(name="ok"), ContactDraft()]}, {"contacts-1-name"}),
        ({"name": "x", "contacts": [ContactDraft(id=99, name="ok")]}, {"contacts"}),
        ({"name": "x", "id": 7, "version": 9}, {"id", "version"}),
    ],
)
def test_what_cannot_be_used_is_named(people, fields, refused):
    with pytest.raises(Invalid) as caught:
        customers.create(by=people.carol.viewer, **fields)
    assert set(caught.value.fields) == refused
    assert db.session.scalars(select(Customer).where(Customer.name == "x")).all() == []


def test_only_staff_write_and_read_profiles(people):
    mine = db.session.get(Customer, people.company_a)
    with pytest.raises(Forbidden):
        customers.create(by=people.alice.viewer, name="x")
    with pytest.raises(Forbidden):
        customers.save(mine, by=people.alice.viewer, version=mine.version, name="Owned")
    with pytest.raises(Missing):
        customers.get_readable(people.alice.viewer, people.company_a)


def test_saving_over_a_newer_version_shows_both_and_loses_neither(people):
    made = customers.create(by=people.carol.viewer, name="Gamma")
    seen = made.version
    customers.save(made, by=people.carol.viewer, version=seen, notes="Carol's words")
    with pytest.raises(Conflict) as caught:
        customers.save(made, by=people.dora.viewer, version=seen, notes="Dora's words")
    assert caught.value.current["notes"] == "Carol's words"
    assert caught.value.given["notes"] == "Dora's words"
    assert db.session.get(Customer, made.id).notes == "Carol's words"
    customers.save(made, by=people.dora.viewer, version=caught.value.current["version"], notes="both")
    assert db.session.get(Customer, made.id).notes == "both"


def test_a_save_that_changes_nothing_writes_nothing(people):
    made = customers.create(by=people.carol.viewer, name="Gamma", emails=["a@example.com"])
    before = made.version, outbox.version_of("customer", made.id)
    customers.save(made, by=people.carol.viewer, version=made.version, name="Gamma", emails=["A@example.com"])
    assert (made.version, outbox.version_of("customer", made.id)) == before


def test_contacts_are_changed_in_place_and_left_out_ones_go(people):
    made = customers.create(
        by=people.carol.viewer,
        name="Gamma",
        contacts=[ContactDraft(name="One", emails=["one@example.com"]), ContactDraft(name="Two")],
    )
    first = made.contacts[0].id
    customers.save(
        made,
        by=people.carol.viewer,
        version=made.version,
        contacts=[ContactDraft(id=first, name="Uno", emails=["one@example.com", "uno@example.com"])],
    )
    assert [(contact.id, contact.name) for contact in made.contacts] == [(first, "Uno")]
    assert contacts.emails(made) == ["one@example.com", "uno@example.com"]
    kept = contacts.draft_of(made.contacts[0])
    for more, phones in (
        ([ContactDraft(name="Three", phones=["+442079460958"])], ["+442079460958"]),
        ([ContactDraft(name="Third")], []),
        ([], []),
    ):
        customers.save(made, by=people.carol.viewer, version=made.version, contacts=[kept, *more])
        assert contacts.phones(made) == phones
    assert db.session.query(Contact).count() == 1
    assert db.session.query(ContactPoint).count() == 2


def test_a_rename_and_a_deletion_reach_all_records(people):
    made = customers.create(by=people.carol.viewer, name="Gamma")
    owned = [records.create(by=people.carol.viewer, subject=f"no {n}", customer_id=made.id) for n in range(3)]
    other = records.create(by=people.carol.viewer, subject="elsewhere")
    customers.save(made, by=people.carol.viewer, version=made.version, name="Delta")
    assert [outbox.version_of("record", record.id)[0] for record in [*owned, other]] == [2, 2, 2, 1]
    customer_id = made.id
    customers.delete(made, by=people.carol.viewer)
    assert [outbox.version_of("record", record.id)[0] for record in owned] == [3, 3, 3]
    assert outbox.version_of("customer", customer_id)[0] > 1
    assert {record.customer_id for record in owned} == {None}


def test_archived_customers_leave_the_list_and_come_back(people):
    made = customers.create(by=people.carol.viewer, name="Gamma")
    customers.archive(made, by=people.carol.viewer)
    assert made.id not in [c.id for c in customers.load_page(people.carol.viewer).items]
    assert [c.id for c in customers.load_page(people.carol.viewer, is_archived=True).items] == [made.id]
    customers.archive(made, by=people.carol.viewer, is_archived=False)
    assert made.id in [c.id for c in customers.load_page(people.carol.viewer).items]


def test_the_audit_log_tells_what_was_done_and_no_contact_data(people):
    made = customers.create(by=people.carol.viewer, name="Gamma", emails=["canary@example.com"])
    customers.save(made, by=people.carol.viewer, version=made.version, phones=["+886912345678"])
    entries = db.session.scalars(select(AuditEntry)).all()
    assert [entry.action for entry in entries][-2:] == ["customer.created", "customer.saved"]
    assert "canary" not in str([entry.details for entry in entries])
    assert list(audit.verify()) == []


# Imports


def line(**meta):
    return {"id": "c1", "title": "Gamma", "text": "a note", "lang": "zh", "meta": {"kind": "company", **meta}}


def test_an_import_is_taken_once_and_changed_lines_update(people):
    first = batches.import_batch([line(email="a@example.com", vip="yes")], source="crm", by=None)
    again = batches.import_batch([line(email="a@example.com", vip="yes")], source="crm", by=None)
    changed = batches.import_batch([line(email="b@example.com")], source="crm", by=None)
    assert [outcomes[0].outcome for outcomes in (first, again, changed)] == ["created", "unchanged", "updated"]
    assert first[0].id == again[0].id == changed[0].id
    made = db.session.get(Customer, first[0].id)
    assert (made.name, made.notes, made.language) == ("Gamma", "a note", "zh")
    assert contacts.emails(made) == ["b@example.com"]


def test_an_equal_line_leaves_what_people_edited_since(people):
    made = batches.import_batch([line()], source="crm", by=None)[0]
    customer = db.session.get(Customer, made.id)
    customers.save(customer, by=people.carol.viewer, version=customer.version, notes="edited here")
    assert batches.import_batch([line()], source="crm", by=None)[0].outcome == "unchanged"
    assert db.session.get(Customer, made.id).notes == "edited here"


def test_a_refused_line_loses_no_other(people):
    outcomes = batches.import_batch(
        [
            {"id": "1", "title": "Good"},
            {"id": "", "title": "No id"},
            {"id": "3"},
            {"id": "4", "title": "Bad mail", "meta": {"email": "nonsense"}},
            {"id": "5", "title": "Bad meta", "meta": ["x"]},
            {"id": "6", "title": "a\x00b"},
            {"id": "7", "title": "Bad contacts", "meta": {"contacts": "x"}},
            {"id": "8", "name": "Good too", "meta": {"contacts": [{"name": "Eve", "phone": "310/246-1501"}]}},
        ],
        source="crm",
        by=people.erin.viewer,
    )
    assert [o.outcome for o in outcomes] == ["created", *["refused"] * 6, "created"]
    assert all(o.reason for o in outcomes if o.outcome == "refused")
    assert [c.name for c in customers.look_up(people.carol.viewer, "(310) 246 1501")] == ["Good too"]


def test_a_line_twice_in_one_batch_makes_one_customer(people):
    outcomes = batches.import_batch([line(), line(), line(region="TW")], source="crm", by=None)
    assert [o.outcome for o in outcomes] == ["created", "unchanged", "updated"]
    assert len({o.id for o in outcomes}) == 1


def test_a_dry_run_writes_nothing(people):
    before = outbox.pending_count()
    outcomes = batches.import_batch([line()], source="crm", by=None, dry_run=True)
    assert [(o.outcome, o.id) for o in outcomes] == [("created", None)]
    assert outbox.pending_count() == before
    assert db.session.scalar(text("select count(*) from customer where source = 'crm'")) == 0


def test_a_renamed_import_reaches_its_records_and_keeps_contacts_added_here(people):
    made = batches.import_batch([line(contacts=[{"name": "Li"}])], source="crm", by=None)[0]
    record = records.create(by=people.carol.viewer, subject="x", customer_id=made.id)
    customer = db.session.get(Customer, made.id)
    both = [contacts.draft_of(customer.contacts[0]), ContactDraft(name="Added here")]
    customers.save(customer, by=people.carol.viewer, version=customer.version, contacts=both)
    renamed = {**line(contacts=[{"name": "Li", "job": "Boss"}]), "title": "Delta"}
    assert batches.import_batch([renamed], source="crm", by=None)[0].outcome == "updated"
    assert outbox.version_of("record", record.id)[0] == 2
    assert sorted((c.name, c.job) for c in customer.contacts) == [("Added here", ""), ("Li", "Boss")]


@pytest.mark.parametrize(
    ("typed", "region", "plain"),
    [
        ("02-2345-6789", "TW", "+886223456789"),
        ("02-2345-6789", "臺灣", "+886223456789"),
        ("010 6552 9988", "China", "+861065529988"),
        ("0117 496 0123", "Europe / United Kingdom / Bristol", "+441174960123"),
        ("0117 496 0123", "Bristol, UK", "+441174960123"),
        ("+1 (310) 246-1501", "", "+13102461501"),
        ("310/246-1501", "", "3102461501"),
        ("０２２３４５６７８９", "", "0223456789"),
        ("+49 30 901820 ext. 12", "", "+4930901820;ext=12"),
    ],
)
def test_numbers_are_understood_by_region(app, typed, region, plain):
    assert points.phone(typed, region=region) == plain
