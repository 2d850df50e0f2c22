"""A full disk: what was being saved is taken back whole and the page says why; reading goes on."""

import errno
import io

import pytest
from sqlalchemy import event, func, select

from portal.attachments import attachments
from portal.extensions import db
from portal.knowledge.models import Article

ARTICLE = {"title": "Printer offline", "body": "Turn it on. " * 2_000, "state": "published"}


@pytest.fixture
def full_disk(app):
    """SQLite's own limit: no page more than there are now."""

    def stop_growing(connection, *_):
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={cursor.execute('PRAGMA page_count').fetchone()[0]}")
        cursor.close()

    event.listen(db.engine, "checkout", stop_growing)
    db.session.rollback()
    yield
    event.remove(db.engine, "checkout", stop_growing)


@pytest.fixture
def reports_faults(app):
    """Answer as in operation, where a fault that nobody foresaw is a page and no exception."""
    app.testing = False


def test_the_database_has_no_room(people, client_for, request, reports_faults) -> None:
    dora = client_for(people.dora)
    kept = dora.post("/api/v1/articles", json=ARTICLE | {"body": "Short."})
    request.getfixturevalue("full_disk")
    answer = dora.post("/api/v1/articles", json=ARTICLE)
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
    assert "no room left" in answer.json["error"]["message"]
    assert db.session.scalar(select(func.count()).select_from(Article)) == 1
    assert dora.get(kept.location).status_code == 200
    assert dora.get(f"/articles/{kept.json['slug']}").status_code == 200


def test_a_file_has_no_room(people, client_for, monkeypatch, reports_faults) -> None:
    dora = client_for(people.dora)
    slug = dora.post("/api/v1/articles", json=ARTICLE).json["slug"]

    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(attachments, "_write", write)
    sent = {"files": (io.BytesIO(b"text"), "notes.txt")}
    answer = dora.post(f"/articles/{slug}/attachments", data=sent, content_type="multipart/form-data")
    assert (answer.status_code, "no room left" in answer.text) == (503, True)
    assert answer.headers["Retry-After"] == "5"
