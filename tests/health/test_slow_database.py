"""A database that somebody else holds for too long: reading goes on, and who saves is told and keeps what was typed."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal import extensions
from portal.extensions import db
from portal.knowledge.models import Article

ARTICLE = {"title": "Printer offline", "body": "Turn it on.", "state": "published"}
BUSY = "The database was busy for too long, so nothing was saved."


@contextmanager
def held() -> Iterator[None]:
    """Somebody else writes, and does not end."""
    other = sqlite3.connect(db.engine.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@pytest.mark.thorough
def test_a_save_that_comes_to_no_turn_is_refused_openly(
    app: Flask, people, client_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.testing = False
    monkeypatch.setattr(extensions, "BUSY_TIMEOUT_S", 0.1)
    dora = client_for(people.dora)
    kept = dora.post("/api/v1/articles", json=ARTICLE)
    db.session.rollback()
    with held():
        answer = dora.post("/api/v1/articles", json=ARTICLE)
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
        assert BUSY in answer.json["error"]["message"]
        page = dora.post("/articles/new", data={"title": "Other", "body": "Words."})
        assert (page.status_code, BUSY in page.text, page.headers["Retry-After"]) == (503, True, "5")
        assert "Dora" in page.text, "she is still signed in, and sees it"
        assert dora.get(kept.location).status_code == 200
    assert db.session.scalar(select(func.count()).select_from(Article)) == 1
    assert dora.post("/api/v1/articles", json=ARTICLE | {"title": "Another"}).status_code == 201
