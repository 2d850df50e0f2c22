"""Repeated writes, and the ways in which a process that dies or sleeps could do one twice or by halves."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from portal import outbox
from portal.api import idempotency
from portal.api.models import IdempotencyKey
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
    """SQLite gives the number of what was removed to what is made next."""
    dora = client_for(people.dora)
    place = dora.post("/api/v1/articles", json=ARTICLE).location
    assert dora.delete(place, headers=KEY).status_code == 204
    other = dora.post("/api/v1/articles", json=ARTICLE | {"title": "Another"})
    again = dora.delete(place, headers=KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (204, "true")
    assert dora.get(other.location).status_code == 200


def test_who_slept_through_the_key_writes_nothing(people, client_for, monkeypatch) -> None:
    """It took the key and was stopped for minutes; meanwhile the write was repeated elsewhere; it goes on."""
    carol = client_for(people.carol)
    answers = []
    asked = outbox.record

    def sleep_before_writing(*things, **options):
        monkeypatch.setattr(outbox, "record", asked)
        db.session.rollback()
        db.session.execute(update(IdempotencyKey).values(created_at=now() - timedelta(minutes=2)))
        db.session.commit()
        held = db.session.info.pop(idempotency.ACTIVE)
        answers.append(client_for(people.carol).post("/api/v1/customers", json=CUSTOMER, headers=KEY))
        db.session.info[idempotency.ACTIVE] = held
        db.session.add(things[0])
        asked(*things, **options)

    monkeypatch.setattr(outbox, "record", sleep_before_writing)
    late = carol.post("/api/v1/customers", json=CUSTOMER, headers=KEY)
    assert answers[0].status_code == 201
    assert (late.status_code, late.json["error"]["code"]) == (409, "in_progress")
    assert db.session.scalar(select(func.count()).where(Customer.name == CUSTOMER["name"])) == 1
    again = carol.post("/api/v1/customers", json=CUSTOMER, headers=KEY)
    assert again.json["id"] == answers[0].json["id"]


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
