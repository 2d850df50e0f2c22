"""The migrations make what the models say, on both databases, and can be run again and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import Flask

from portal import migrating
from portal.accounts.models import APIToken
from portal.accounts.sign_in import find_user
from portal.app import create_app
from portal.extensions import db
from portal.settings import Settings
from tests.moulds import Moulds


@pytest.fixture
def empty_portal(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """A portal whose database has no tables yet, on SQLite and on PostgreSQL."""
    environment = {"CASEBOOK_DATA_DIR": str(tmp_path / "data"), "CASEBOOK_DATABASE_URL": database_url}
    app = create_app(Settings.from_environ(environment))
    migrating.migrate.init_app(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def newest_portal(empty_portal: Flask, moulds: Moulds) -> Flask:
    """A portal whose database all migrations have made; on SQLite, a copy of the one that they make once in a run."""
    if db.engine.dialect.name == "sqlite":
        moulds.fill(empty_portal.extensions["casebook.settings"], ())
    else:
        migrating.upgrade()
    return empty_portal


def test_the_migrations_make_what_the_models_say(newest_portal: Flask):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_the_migrations_can_be_run_again(newest_portal: Flask):
    migrating.upgrade()
    assert set(sa.inspect(db.engine).get_table_names()) == {*db.metadata.tables, "alembic_version"}


@pytest.mark.thorough
def test_the_migrations_can_be_taken_back(newest_portal: Flask):
    flask_migrate.downgrade(revision="base")
    assert set(sa.inspect(db.engine).get_table_names()) <= {"alembic_version"}


@pytest.mark.thorough
def test_accounts_of_the_first_version_keep_their_address_and_what_belongs_to_them(empty_portal: Flask):
    """A table that is made anew on the way must not take along what refers to it."""
    migrating.upgrade("0001")
    with db.engine.begin() as connection:
        connection.execute(
            sa.text(
                'INSERT INTO "user" (id, email, name, role, is_active, epoch, created_at)'
                " VALUES (7, 'zoe@example.com', 'Zoe', 'agent', true, 0, '2026-01-01 00:00:00')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO api_token (id, user_id, name, token_hash, epoch, created_at)"
                " VALUES (3, 7, 'till', 'x', 0, '2026-01-01 00:00:00')"
            )
        )
    migrating.upgrade()
    zoe = find_user("Zoe@example.com")
    assert zoe is not None
    assert zoe.email == "zoe@example.com"
    assert db.session.scalars(sa.select(APIToken.name).where(APIToken.user_id == 7)).all() == ["till"]
    db.session.rollback()
    flask_migrate.downgrade(revision="0001")
    with db.engine.connect() as connection:
        assert connection.scalar(sa.text('SELECT email FROM "user" WHERE id = 7')) == "zoe@example.com"
        assert connection.scalar(sa.text("SELECT count(*) FROM api_token")) == 1


@pytest.mark.thorough
def test_sentences_about_files_become_reasons_and_can_be_sentences_again(newest_portal: Flask):
    flask_migrate.downgrade(revision="0007")
    said = {
        1: "Reading the file takes too much time or memory. Divide it or make it simpler.",
        2: "The file broke its reader. Save it anew and attach that.",
        3: "The file cannot be read: PdfiumError: Failed to load document (PDFium: Incorrect password error).",
        4: "The file cannot be read: ValueError: it declares a document type",
        5: "The file cannot be read: ExpatError: mismatched tag",
        6: "Something else.",
        7: None,
    }
    with db.engine.begin() as connection:
        for number, sentence in said.items():
            connection.execute(
                sa.text(
                    "INSERT INTO attachment (id, owner_kind, owner_id, is_internal, file_name, stored_name, media_type,"
                    " size, sha256, text, text_state, text_error, created_at) VALUES (:id, 'article', 1, false,"
                    " 'a.pdf', :stored, 'application/pdf', 1, 'x', '', 'failed', :said, '2026-01-01 00:00:00')"
                ),
                {"id": number, "stored": f"stored-{number}", "said": sentence},
            )
    migrating.upgrade()
    query = sa.text("SELECT text_reason, text_error FROM attachment ORDER BY id")
    with db.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(query)] == [
            ("too_much", None),
            ("crashed", None),
            ("password", "PdfiumError: Failed to load document (PDFium: Incorrect password error)."),
            ("forbidden", "ValueError: it declares a document type"),
            ("damaged", "ExpatError: mismatched tag"),
            (None, "Something else."),
            (None, None),
        ]
    flask_migrate.downgrade(revision="0007")
    with db.engine.connect() as connection:
        query = sa.text("SELECT id, text_error FROM attachment ORDER BY id")
        assert {row.id: row.text_error for row in connection.execute(query)} == said


def test_what_was_said_of_a_configuration_is_found_under_its_name_of_then(newest_portal: Flask):
    """The audit log knows who bore a name; a name that somebody else took later leads nobody astray."""
    flask_migrate.downgrade(revision="0008")
    days = [f"2026-01-0{day} 00:00:00" for day in range(1, 8)]
    rows: list[tuple[str, dict[str, object]]] = [
        ("judged_set", {"id": 1, "name": "Readers", "source": "", "viewer_kind": "anonymous", "created_at": days[0]}),
        ("judged_query", {"id": 1, "set_id": 1, "key": "q", "text": "pump", "language": ""}),
        *(
            ("ranking_configuration", {"id": number, "name": name, "note": "", "weights": "{}", "created_at": at})
            for number, name, at in ((1, "Short titles", days[0]), (2, "Titles", days[4]), (3, "Bare", days[0]))
        ),
        *(
            (
                "audit_entry",
                {"id": number, "at": at, "action": "configuration.save", "object_kind": "configuration"}
                | {"object_id": which, "details": details, "previous_hash": str(number - 1), "hash": str(number)},
            )
            for number, at, which, details in (
                (1, days[0], 1, '{"name": "Titles"}'),
                (2, days[2], 1, '{"name": "Short titles"}'),
                (3, days[4], 2, '{"name": "Titles"}'),
            )
        ),
        *(
            (
                "preference",
                {"id": number, "query_id": 1, "one_name": one, "other_name": other, "fingerprint": "x"}
                | {"better": "one", "at": at},
            )
            for number, one, other, at in (
                (1, "", "Titles", days[1]),
                (2, "Titles", "Bare", days[5]),
                (3, "Short titles", "Removed", days[5]),
            )
        ),
        (
            "measurement",
            {"id": 1, "at": days[1], "set_name": "Readers", "configuration_id": 1, "configuration_name": "Titles"}
            | {"fingerprint": "x", "engine": "embedded", "state": "done", "scores": "{}", "unknown": "[]"}
            | {"total": 1, "ndcg": 1.0, "mrr": 1.0, "recall": 1.0, "queries": 1, "unknown_count": 0},
        ),
    ]
    truths = {"ranking_configuration": {"is_active": False}, "measurement": {"is_by_clicks": False}}
    with db.engine.begin() as connection:
        for table, row in rows:
            row |= truths.get(table, {})  # noqa: PLW2901  The row is this test's own.
            columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)
    migrating.upgrade()
    with db.engine.connect() as connection:
        told = connection.execute(
            sa.text("SELECT one_id, one_name, other_id, other_name FROM preference ORDER BY id")
        ).all()
        assert [tuple(row) for row in told] == [
            (None, "", 1, "Short titles"),
            (2, "Titles", 3, "Bare"),
            (1, "Short titles", None, "Removed"),
        ]
        assert connection.scalar(sa.text("SELECT configuration_name FROM measurement")) == "Short titles"
    flask_migrate.downgrade(revision="0008")
    with db.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM preference")) == 3


def test_every_table_that_numbers_its_rows_counts_on_for_ever(newest_portal: Flask):
    """A migration that makes a table anew, or a new table, must not lose it: reflection does not tell."""
    if db.engine.dialect.name != "sqlite":
        return
    numbered = {table.name for table in db.metadata.tables.values() if table.autoincrement_column is not None}
    assert {"article", "record", "customer", "user", "tag", "attachment"} <= numbered
    assert counting() == numbered
    assert "audit_entry" not in numbered


@pytest.mark.thorough
def test_numbers_of_the_first_versions_are_never_given_again(empty_portal: Flask):
    """What was removed before the update may still be named in the outbox, the audit log or a kept answer."""
    migrating.upgrade("0004")
    at = "2026-01-01 00:00:00"
    rows: dict[str, dict[str, object]] = {
        "outbox": {"kind": "record", "object_id": 41, "version": 2, "indexed_version": 2, "changed_at": at}
        | {"is_bulk": False, "attempts": 0},
        "audit_entry": {"id": 1, "at": at, "action": "customer.deleted", "object_kind": "customer", "object_id": 57}
        | {"details": "{}", "previous_hash": "0", "hash": "1"},
        "idempotency_key": {"id": 3, "owner": "user:1", "key": "k", "fingerprint": "f", "reference": "article:73"}
        | {"created_at": at},
        "tag": {"id": 19, "name": "Printer", "slug": "printer"},
    }
    with db.engine.begin() as connection:
        for table, row in rows.items():
            columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)
    migrating.upgrade()
    if db.engine.dialect.name != "sqlite":
        return
    with db.engine.begin() as connection:
        given = {row.name: row.seq for row in connection.execute(sa.text("SELECT name, seq FROM sqlite_sequence"))}
        assert (given["record"], given["customer"], given["article"]) == (41, 57, 73)
        assert (given["tag"], given["idempotency_key"]) == (19, 3)
        connection.execute(sa.text("DELETE FROM tag WHERE id = 19"))
        assert connection.scalar(sa.text("INSERT INTO tag (name, slug) VALUES ('New', 'new') RETURNING id")) == 20


def test_a_table_that_a_later_migration_makes_anew_counts_on(newest_portal: Flask):
    if db.engine.dialect.name != "sqlite":
        return
    migrating.upgrade()  # What looks after tables is there wherever migrations run.
    with db.engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("tag", recreate="always") as batch:
            batch.alter_column("name", existing_type=sa.String(120), type_=sa.String(130))
    assert "tag" in counting()


def counting() -> set[str]:
    with db.engine.connect() as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '% AUTOINCREMENT%'"
        return set(connection.execute(sa.text(query)).scalars())
