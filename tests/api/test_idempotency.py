"""Repeated writes, and the ways in which a process that dies or sleeps could do one twice or by halves."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from portal.api import idempotency
from portal.api.models import IdempotencyKey
from portal.customers import customers
from portal.customers.models import Customer
from portal.extensions import db, now
from portal.knowledge.models import Article
from portal.service.models import Record
from portal.vocabulary import words
from portal.vocabulary.models import Tag

ARTICLE = {"title": "Printer offline", "body": "Turn it on.", "state": "published"}
CUSTOMER = {"kind": "company", "name": "Gamma"}
KEY = {"Idempotency-Key": "k1"}


def count(model) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_a_repeated_removal_removes_nothing_else(people, client_for) -> None:
    dora = client_for(people.dora)
    place = dora.post("/api/v1/articles", json=ARTICLE).location
    assert dora.delete(place, headers=KEY).status_code == 204
    other = dora.post("/api/v1/articles", json=ARTICLE | {"title": "Another"})
    again = dora.delete(place, headers=KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (204, "true")
    assert dora.get(other.location).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"), [("articles", ARTICLE), ("customers", CUSTOMER), ("records", {"subject": "Noise"})]
)
def test_a_removed_number_never_comes_again(people, client_for, path, body) -> None:
    """Who still holds a reference, and a tombstone in the index, must never mean somebody else's newer object."""
    admin, given = client_for(people.fred), []
    for _ in range(3):
        made = admin.post(
            f"/api/v1/{path}", json=body | {"customer_id": people.company_a} if path == "records" else body
        )
        assert made.status_code == 201, made.json
        given.append(made.json["id"])
        assert admin.delete(made.location).status_code == 204
    assert given == sorted(set(given))
    assert admin.get(f"/api/v1/{path}/{given[0]}").status_code == 404


class Sleepers:
    """Requests in threads of their own, each of which stops before it makes its customer, until it is woken."""

    def __init__(self, send, monkeypatch) -> None:
        self._send, self._create = send, customers.create
        self._woken = {name: threading.Event() for name in ("first", "second")}
        self._asleep = {name: threading.Event() for name in self._woken}
        self._threads = {name: threading.Thread(target=self._run, name=name) for name in self._woken}
        self.answers = {}
        monkeypatch.setattr(customers, "create", self._sleep_and_create)

    def _run(self) -> None:
        name = threading.current_thread().name
        answer = self._send()
        self.answers[name] = (answer.status_code, answer.json)
        self._asleep[name].set()

    def _sleep_and_create(self, **options):
        name = threading.current_thread().name
        if name in self._woken:
            self._asleep[name].set()
            assert self._woken[name].wait(60)
        return self._create(**options)

    def begin(self, name: str) -> None:
        self._threads[name].start()
        assert self._asleep[name].wait(60)
        assert name not in self.answers, self.answers

    def wake_all(self) -> None:
        """Leave nobody asleep, whatever the test came to."""
        for name, thread in self._threads.items():
            self._woken[name].set()
            if thread.is_alive():
                thread.join(60)

    def wake(self, name: str) -> tuple[int, dict]:
        self._woken[name].set()
        self._threads[name].join(60)
        return self.answers[name]


@pytest.fixture
def sleepers(app, people, client_for, monkeypatch):
    browsers = [client_for(people.carol), client_for(people.carol)]
    made = Sleepers(lambda: browsers.pop().post("/api/v1/customers", json=CUSTOMER, headers=KEY), monkeypatch)
    yield made
    made.wake_all()


@pytest.mark.parametrize("is_done_first", [True, False])
def test_who_slept_through_the_key_writes_nothing(
    people, client_for, monkeypatch, sleepers, is_done_first: bool
) -> None:
    """It took the key and was stopped for minutes; the repetition took the key over; only then it goes on.

    The clock is all that is moved, so that nothing but the take-over can tell the sleeper that the key is not its own.
    """
    sleepers.begin("first")
    later = now() + idempotency.ABANDONED + timedelta(seconds=1)
    monkeypatch.setattr(idempotency, "now", lambda: later)
    sleepers.begin("second")
    order = ("second", "first") if is_done_first else ("first", "second")
    answers = {name: sleepers.wake(name) for name in order}
    status, told = answers["first"]
    assert (status, told.get("error", {}).get("code")) == (409, "in_progress")
    status, made = answers["second"]
    assert status == 201
    assert db.session.scalars(select(Customer.id).where(Customer.name == CUSTOMER["name"])).all() == [made["id"]]
    again = client_for(people.carol).post("/api/v1/customers", json=CUSTOMER, headers=KEY)
    assert (again.json["id"], again.headers["Idempotency-Replayed"]) == (made["id"], "true")


def test_a_key_is_not_taken_over_from_who_still_may_be_at_it(people, client_for, monkeypatch, sleepers) -> None:
    sleepers.begin("first")
    soon = now() + idempotency.ABANDONED - timedelta(seconds=20)
    monkeypatch.setattr(idempotency, "now", lambda: soon)
    early = client_for(people.carol).post("/api/v1/customers", json=CUSTOMER, headers=KEY)
    assert (early.status_code, early.json["error"]["code"]) == (409, "in_progress")
    assert sleepers.wake("first")[0] == 201
    assert db.session.scalar(select(func.count()).where(Customer.name == CUSTOMER["name"])) == 1


def test_a_key_that_is_done_is_not_taken_over(people, client_for, monkeypatch) -> None:
    """Between the look at the key and taking it over, the first request ends."""
    dora = client_for(people.dora)
    made = dora.post("/api/v1/articles", json=ARTICLE, headers=KEY)
    old = now() - timedelta(minutes=2)
    db.session.execute(update(IdempotencyKey).values(created_at=old, status=None, reference=None, body=None))
    db.session.commit()
    fingerprint = idempotency._fingerprint

    def end_meanwhile():
        found = db.session.scalars(select(IdempotencyKey)).one()
        with db.engine.connect() as another:
            another.execute(update(IdempotencyKey).values(reference=f"article:{made.json['id']}"))
            another.commit()
        assert found.reference is None
        return fingerprint()

    monkeypatch.setattr(idempotency, "_fingerprint", end_meanwhile)
    again = dora.post("/api/v1/articles", json=ARTICLE, headers=KEY)
    assert (again.status_code, count(Article)) in ((409, 1), (200, 1))


@pytest.mark.parametrize("change", [{"summary": "New", "state": "archived"}])
def test_fields_and_state_of_an_article_change_together(people, client_for, change) -> None:
    dora = client_for(people.dora)
    made = dora.post("/api/v1/articles", json=ARTICLE)
    changed = dora.patch(made.location, json=change | {"version": made.json["version"]})
    assert {name: changed.json[name] for name in change} == change
    assert changed.json["version"] == made.json["version"] + 1, "one save, which is done whole or not at all"
    refused = dora.patch(made.location, json={"summary": "Newer", "state": "nonsense"})
    assert refused.status_code == 422
    assert dora.get(made.location).json["summary"] == "New"


def test_fields_resolution_and_state_of_a_record_change_together(people, client_for) -> None:
    carol = client_for(people.carol)
    made = carol.post("/api/v1/records", json={"subject": "Noise", "customer_id": people.company_a})
    refused = carol.patch(made.location, json={"subject": "Silence", "resolution": "Done.", "state": "waiting"})
    assert refused.status_code == 422, "what is resolved cannot wait"
    kept = carol.get(made.location).json
    assert (kept["subject"], kept["state"], kept["resolution"]) == ("Noise", "new", "")
    changed = carol.patch(made.location, json={"subject": "Silence", "resolution": "Done.", "state": "closed"})
    assert (changed.json["subject"], changed.json["state"]) == ("Silence", "closed")
    assert [entry["new_state"] for entry in changed.json["entries"]] == ["resolved", "closed"]
    assert count(Record) == 1


def test_two_who_make_the_same_word_at_one_moment_make_it_once(app, monkeypatch) -> None:
    look = words._known
    others = [Tag(name="Router", slug="router"), Tag(name="sen-sor", slug="sen-sor")]

    def look_too_early(model, names):
        found = look(model, names)
        if others:
            db.session.rollback()
            db.session.add_all(others)
            others.clear()
            db.session.commit()
        return found

    monkeypatch.setattr(words, "_known", look_too_early)
    found = words.find_or_create(Tag, ["router", "sen sor"])
    db.session.commit()
    assert (found["router"].name, found["sen sor"].name) == ("Router", "sen sor")
    assert {tag.slug for tag in db.session.scalars(select(Tag))} == {"router", "sen-sor", "sen-sor-2"}
