"""What is PostgreSQL's own in backups: its programs, its password, and all or nothing."""

import pytest
from sqlalchemy import create_engine, make_url

from portal.app import create_app
from portal.backups import databases
from portal.backups.backups import tables_of
from portal.commands.run import upgrade
from portal.extensions import db
from tests.moulds import settings_in


@pytest.fixture
def settings(postgres_settings):
    """The portal of these tests runs on PostgreSQL."""
    return postgres_settings


@pytest.fixture
def elsewhere(postgres, tmp_path, settings):
    """Another portal on a database of its own, whose tables are there and hold nothing."""
    url = postgres.create_database("elsewhere")
    other = settings_in(tmp_path / "elsewhere", database_url=url)
    app = create_app(other)
    with app.app_context():
        upgrade()
        yield app
        db.session.remove()
        db.engine.dispose()
    postgres.drop_database("elsewhere")


@pytest.fixture
def dump(app, people, tmp_path):
    """The database of the portal in one file, with what it held."""
    with databases.copied(db.engine, tmp_path / "database.dump") as ask:
        rows = databases.count_rows(ask, tables_of(db.engine))
    assert rows["user"] >= 6
    return tmp_path / "database.dump", rows


def rows_of(engine, tables):
    with engine.connect() as connection:
        return databases.count_rows(databases.asking(connection), list(tables))


def test_tables_that_hold_nothing_are_replaced(dump, elsewhere):
    path, rows = dump
    databases.put_back(db.engine, path)
    assert rows_of(db.engine, rows) == rows


def test_what_was_written_after_the_copy_began_is_not_in_it(app, people, tmp_path, elsewhere):
    with app.app_context(), databases.copied(db.engine, tmp_path / "database.dump") as ask:
        before = ask('SELECT count(*) FROM "user"')[0][0]
        with db.engine.begin() as connection:
            connection.exec_driver_sql('DELETE FROM "user" WHERE id = (SELECT max(id) FROM "user")')
        assert ask('SELECT count(*) FROM "user"')[0][0] == before
    databases.put_back(db.engine, tmp_path / "database.dump")
    assert rows_of(db.engine, ["user"]) == {"user": before}


def test_a_broken_file_changes_nothing(dump, elsewhere):
    path, _ = dump
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    before = tables_of(db.engine)
    with pytest.raises(databases.DatabaseNotCopied, match="pg_restore refused"):
        databases.put_back(db.engine, path)
    assert tables_of(db.engine) == before
    assert rows_of(db.engine, ["user"]) == {"user": 0}


def test_without_its_programs_it_says_what_to_install(app, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(databases.DatabaseNotCopied, match="postgresql-client"),
        databases.copied(db.engine, tmp_path / "database.dump"),
    ):
        pass


def test_the_password_is_in_no_list_of_processes(tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    program = tmp_path / "pg_restore"
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}\necho "$PGPASSWORD" >> {seen}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    url = make_url("postgresql+psycopg://ada:s%40crét@db.example:5433/casebook?sslmode=require")
    engine = create_engine(url)
    databases.put_back(engine, tmp_path / "database.dump")
    arguments, password = seen.read_text().splitlines()
    assert "--dbname=postgresql://ada@db.example:5433/casebook?sslmode=require" in arguments
    assert password == "s@crét"
    assert "crét" not in arguments
