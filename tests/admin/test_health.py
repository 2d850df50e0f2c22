"""Alive, ready, and the figures for Prometheus."""

import pytest
from sqlalchemy import text

from portal import outbox
from portal.admin import health_views
from portal.extensions import db


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def migrated(app):
    head = health_views.newest_revision(app.extensions["migrate"].directory)
    db.session.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)"))
    db.session.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
    db.session.commit()


def test_alive_needs_nothing(client):
    assert client.get("/healthz").json == {"status": "ok"}


def test_ready_with_search_and_queue_down(client, migrated):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "database": "ok", "migrations": "ok", "search": "down", "queue": "down"}


def test_not_ready_before_the_migrations(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["migrations"] == "behind"


def test_figures_are_for_staff_and_tokens(people, client_for):
    assert client_for(people.ann).get("/metrics").status_code == 401
    assert client_for(people.alice).get("/metrics").status_code == 403
    outbox.record_above([("article", 1, 0)])
    db.session.commit()
    staff = client_for(people.carol)
    staff.get("/healthz")
    figures = staff.get("/metrics").text
    assert f"casebook_outbox_pending {float(outbox.pending_count())}" in figures
    assert "casebook_search_up 0.0" in figures
    assert 'casebook_requests_total{endpoint="health.is_alive",method="GET",status="200"}' in figures
