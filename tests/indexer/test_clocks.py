"""A clock that was an hour ahead, and is right again: what it dated holds nothing up until the hour has passed."""

import hashlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import update

from indexer import claims, rebuild
from indexer.rebuild import Rebuild
from portal.api import idempotency
from portal.api.models import IdempotencyKey
from portal.extensions import db, now
from portal.mail import messages
from portal.mail.models import Message
from portal.search import indices
from portal.search.models import Heartbeat
from tests.indexer.conftest import HOLDER, save_article, save_articles

HOUR = timedelta(hours=1)
KEY, JSON = {"Idempotency-Key": "k"}, "application/json"
ELSEWHERE = "worker@another-machine:1:abc"


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock of what is asked here: `clock(ahead)`."""

    def set_clock(ahead: timedelta) -> None:
        for module in (claims, rebuild, messages, idempotency, indices):
            monkeypatch.setattr(module, "now", lambda: now() + ahead)
        monkeypatch.setattr("portal.extensions.now", lambda: now() + ahead)

    return set_clock


def test_what_a_worker_with_a_wrong_clock_held_is_free_at_once(engine, drain, clock):
    save_articles(3)
    clock(HOUR)
    assert len(claims.claim(ELSEWHERE, limit=10, is_bulk=False)) == 3
    assert claims.claim(HOLDER, limit=10, is_bulk=False) == [], "by the same clock the lease holds"
    clock(timedelta(0))
    assert drain().settled == 3


def test_a_lease_holds_between_clocks_that_differ_a_little(engine, clock):
    save_article("one")
    clock(claims.LEASE / 2)
    assert claims.claim(ELSEWHERE, limit=10, is_bulk=False)
    clock(timedelta(0))
    assert claims.claim(HOLDER, limit=10, is_bulk=False) == []


def test_a_later_try_does_not_wait_for_a_wrong_clock(engine, drain, clock):
    save_article("one")
    clock(HOUR)
    (claim,) = claims.claim(ELSEWHERE, limit=10, is_bulk=False)
    claims.postpone(ELSEWHERE, claim, until=now() + HOUR + claims.LONGEST_RETRY)
    assert claims.due_count() == 0
    clock(timedelta(0))
    assert claims.due_count() == 1
    assert drain().settled == 1


def test_what_was_set_aside_stays_aside(engine, drain):
    save_article("one")
    (claim,) = claims.claim(ELSEWHERE, limit=10, is_bulk=False)
    claims.postpone(ELSEWHERE, claim, until=now() + HOUR, reason="refused")
    assert drain().settled == 0


def test_a_build_is_taken_over_from_a_wrong_clock(engine, clock):
    indices.request_build(engine=engine.name, prefix="test")
    clock(HOUR)
    first = Rebuild(engine, ELSEWHERE, "test")
    assert first.take() is not None
    other = Rebuild(engine, HOLDER, "test")
    assert other.take() is None
    clock(timedelta(0))
    assert other.take() is not None


def test_a_sign_of_life_from_the_future_is_none(app, clock):
    db.session.add(Heartbeat(worker=ELSEWHERE, started_at=now(), at=now() + HOUR, doing="waiting"))
    db.session.commit()
    assert indices.workers() == []
    clock(HOUR)
    assert [beat.worker for beat in indices.workers()] == [ELSEWHERE]


def test_a_mail_that_a_wrong_clock_held_is_due(app, clock):
    at = now()
    db.session.add(Message(message_id="<a@b>", template="reset", not_before=at, leased_until=at + HOUR))
    db.session.commit()
    assert db.session.query(Message).where(messages._is_due()).count() == 1
    db.session.query(Message).update({"leased_until": at + messages.LEASE / 2})
    assert db.session.query(Message).where(messages._is_due()).count() == 0


def test_a_key_that_a_wrong_clock_took_is_taken_over(people, client_for):
    """Whoever took it left no trace of an answer, and cannot be at it still."""
    taken = IdempotencyKey(owner=f"user:{people.carol.user_id}", key="k", fingerprint="", created_at=now() + HOUR)
    db.session.add(taken)
    db.session.commit()
    carol, body = client_for(people.carol), {"kind": "company", "name": "Gamma"}
    assert carol.post("/api/v1/customers", json=body, headers=KEY).status_code == 422
    sent = hashlib.sha256(b"POST /api/v1/customers\0" + json.dumps(body).encode()).hexdigest()
    for off, status in ((timedelta(0), 409), (HOUR, 201)):
        db.session.execute(update(IdempotencyKey).values(created_at=now() + off, fingerprint=sent))
        db.session.commit()
        answer = carol.post("/api/v1/customers", data=json.dumps(body), headers=KEY | {"Content-Type": JSON})
        assert answer.status_code == status, answer.json
