"""What must hold on both databases: numbers, locks, conflicts and sweeping changes under parallel writers."""

import threading
from urllib.parse import quote

import pytest
from sqlalchemy import select

from portal import audit, outbox
from portal.customers import customers
from portal.customers.models import Customer
from portal.errors import Conflict
from portal.extensions import db
from portal.search.current import EXTENSION
from portal.service import batches, entries, queues, records
from portal.service.models import Entry, Record
from portal.vocabulary import categories
from portal.vocabulary.models import Category
from tests.service.engines import DeadEngine
from tests.together import together


@pytest.fixture
def settings(database_settings):
    """The portal of these tests runs on SQLite, then on PostgreSQL."""
    return database_settings


@pytest.fixture
def asked(people):
    """A record that Alice opened."""
    return records.create(by=people.alice.viewer, subject="It does not print")


@pytest.mark.thorough
def test_parallel_writers_get_different_numbers_and_lose_nothing(app, people, asked):
    asked_id = asked.id

    def work():
        for n in range(6):
            records.create(by=people.alice.viewer, subject=f"case {n}")
            entries.reply(db.session.get(Record, asked_id), by=people.alice.viewer, body=f"reply {n}")

    assert together(app, *[work] * 4) == []
    numbers = db.session.scalars(select(Record.number)).all()
    assert len(numbers) == len(set(numbers)) == 25
    assert db.session.query(Entry).filter_by(kind="reply").count() == 24
    assert outbox.version_of("record", asked_id)[0] == 25
    assert list(audit.verify()) == []


def test_one_form_sent_many_times_at_once_makes_one_record(app, people):
    made = []

    def send():
        made.append(records.create(by=people.alice.viewer, subject="once", submission="s").id)

    assert together(app, *[send] * 5) == []
    assert len(made) == 5
    assert len(set(made)) == 1
    assert db.session.query(Record).count() == 1


def test_of_two_saves_of_one_version_one_wins_and_the_other_learns_both(app, people, asked):
    record_id, version = asked.id, asked.version
    customer_id = people.company_a
    customer_version = db.session.get(Customer, customer_id).version

    def save(words):
        records.save(db.session.get(Record, record_id), by=people.carol.viewer, version=version, description=words)

    def rename(name):
        customers.save(
            db.session.get(Customer, customer_id), by=people.carol.viewer, version=customer_version, name=name
        )

    errors = together(app, *[lambda n=n: save(f"words {n}") for n in range(3)])
    errors += together(app, *[lambda n=n: rename(f"name {n}") for n in range(3)])
    assert [type(error) for error in errors] == [Conflict] * 4
    assert all(error.current and error.given for error in errors)
    assert outbox.version_of("record", record_id)[0] == 3


def test_one_file_imported_twice_at_once_makes_each_record_once(app, people):
    lines = [{"id": str(n), "title": f"case {n}", "meta": {"tags": ["oil"], "product": "Pump"}} for n in range(30)]

    def take():
        batches.import_batch(lines, source="old", by=None)

    errors = together(app, take, take)
    assert errors == []
    assert db.session.query(Record).count() == 30
    assert {outcome.outcome for outcome in batches.import_batch(lines, source="old", by=None)} == {"unchanged"}


def test_a_rename_reaches_all_records_and_queues_count_right(app, people):
    for n in range(5):
        records.create(
            by=people.carol.viewer,
            subject=f"case {n}",
            customer_id=people.company_a,
            assignee_id=people.carol.user_id if n < 2 else None,
        )
    customer = db.session.get(Customer, people.company_a)
    customers.save(customer, by=people.carol.viewer, version=customer.version, name="Renamed")
    versions = {outbox.version_of("record", record.id)[0] for record in db.session.scalars(select(Record))}
    assert versions == {2}
    counts = queues.count_queues(people.carol.viewer, queues.DESK)
    assert (counts["unassigned"], counts["mine"], counts["open"], counts["all"]) == (3, 2, 5, 5)
    assert queues.count_queues(people.bob.viewer, queues.OWN)["all"] == 0
    assert queues.count_queues(people.alice.viewer, queues.OWN)["all"] == 5
    page = queues.load_page(people.carol.viewer, queues.DESK, "all", sort="-priority")
    assert [record.subject for record in page.items] == [f"case {n}" for n in reversed(range(5))]
    assert customers.load_page(people.carol.viewer, q="rENAM").total == 1
    assert customers.look_up(people.carol.viewer, "renamed")[0].id == people.company_a


@pytest.mark.thorough
@pytest.mark.parametrize("odd", ["a\x00b", "\ufffe%\\'", "9" * 40, "x" * 3000, "\u202e𝔘🙂٣"])
def test_odd_bytes_never_break_a_page(app, people, client_for, asked, odd):
    app.extensions[EXTENSION] = DeadEngine()
    carol, alice = client_for(people.carol), client_for(people.alice)
    for path in (
        "/customers?q=",
        "/customers?tag=",
        "/callers?caller=",
        "/records/new?caller=",
        "/records/new?customer=",
        "/desk?product=",
        "/desk?queue=",
        "/desk?sort=",
        "/desk?page=",
        "/records/",
        "/customers/",
    ):
        assert carol.get(path + quote(odd)).status_code in (200, 303, 308, 404), path
    for path in ("/ask?q=", "/ask/answers?subject=", "/requests?queue=", "/requests?page="):
        assert alice.get(path + quote(odd)).status_code == 200, path
    at = f"/records/{asked.number}"
    for path, fields in (
        ("/records/new", ("subject", "customer_id", "tags", "assignee_id", "kind")),
        ("/customers/new", ("name", "emails", "region", "tags", "contacts-0-phones", "contacts-0-id")),
        (f"{at}/entries", ("body", "state", "submission")),
        (f"{at}/resolution", ("resolution", "article_id")),
        (f"{at}/state", ("state",)),
        (f"{at}/assignee", ("assignee_id",)),
        (f"{at}/links", ("number",)),
        (f"{at}/articles", ("article_id",)),
        (f"{at}/details", ("subject", "version", "tags", "product_id")),
    ):
        for name in fields:
            answer = carol.post(path, data={"subject": "x", "name": "x", "body": "x", "kind": "reply", name: odd})
            assert answer.status_code < 500, (path, name)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", ["customer", "category"])
def test_whoever_answers_does_not_wait_for_a_change_of_what_a_request_names(app, people, what):
    """The change waits for the outbox row of the request: an answer that held it and waited, too, would be refused."""
    category_id = categories.create(by=people.dora.viewer, changes={"name": "Pumps"}).id
    asked = records.create(
        by=people.carol.viewer, subject="It drips", customer_id=people.company_a, category_id=category_id
    )
    record_id = asked.id
    if what == "customer":
        customers._lock(people.company_a)
    else:
        categories._settle(db.session.get_one(Category, category_id))

    def answer():
        with app.app_context():
            # Written twice in one transaction, a row's references are looked at again, which locks what they name.
            entries.reply(db.session.get_one(Record, record_id), by=people.carol.viewer, body="Tighten it.")

    answering = threading.Thread(target=answer)
    answering.start()
    answering.join(timeout=10)
    waits = answering.is_alive()
    db.session.rollback()
    answering.join()
    assert not waits
