"""What machines ask: alive, ready, how far behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from portal.app import create_app
from portal.extensions import db
from portal.health import state
from portal.settings import Settings
from tests.people import People

ALERTS = Path(__file__).resolve().parents[2] / "docs" / "alerts.yaml"


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
    assert figures["casebook_worker_silent_seconds"] == float("inf")
    assert 0 < figures["casebook_disk_free_ratio"] < 1


def test_answers_are_counted(app: Flask, people: People, token_for):
    client, headers = app.test_client(), token_for(people.fred)
    for path in ("/healthz", "/healthz", "/articles/none"):
        client.get(path)
    told = client.get("/metrics", headers=headers).text
    assert 'casebook_requests_total{status="2xx"} 2.0' in told
    assert 'casebook_requests_total{status="4xx"} 1.0' in told
    assert 'casebook_request_seconds_count{route="health.alive"} 2.0' in told


def test_every_alert_speaks_of_figures_that_there_are(app: Flask, people: People, token_for):
    client, headers = app.test_client(), token_for(people.fred)
    client.get("/healthz")
    told = set(re.findall(r"^(casebook_\w+)", client.get("/metrics", headers=headers).text, re.MULTILINE))
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        asked = set(re.findall(r"\bcasebook_\w+", rule["expr"]))
        assert asked <= told, rule["alert"]
        assert asked or rule["expr"].startswith("up")
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
