"""What machines ask: alive, ready, how far behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from portal.app import create_app
from portal.extensions import db
from portal.health import state
from portal.settings import Settings


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_a_process_is_alive_whatever_else_is_down(tmp_path: Path):
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    app = create_app(Settings.from_environ({"CASEBOOK_DATA_DIR": str(tmp_path), "CASEBOOK_DATABASE_URL": nowhere}))
    assert app.test_client().get("/healthz").json == {"status": "alive"}
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["ready"], answer.json["database"]) == (False, False)


def test_a_database_of_another_version_is_not_ready(client: FlaskClient):
    assert state.is_migrated()
    db.session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    db.session.commit()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["database"], answer.json["migrations"]) == (True, False)


def test_without_search_and_queue_it_is_ready(client: FlaskClient):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {"ready": True, "database": True, "migrations": True, "search": False, "queue": False}


def test_a_migrated_database_without_a_version_is_not_ready(client: FlaskClient):
    db.session.execute(text("DROP TABLE alembic_version"))
    db.session.commit()
    assert client.get("/readyz").status_code == 503


def test_strangers_get_no_metrics(client: FlaskClient):
    assert client.get("/metrics").status_code == 401


def test_metrics_say_how_far_the_index_is_behind(app: Flask):
    figures = {metric.name: metric.samples[0].value for metric in state.Parts().collect()}
    assert figures["casebook_index_pending"] == 0
    assert figures["casebook_workers"] == 0
    assert figures["casebook_search_up"] == 0
    assert len(figures) == 13
