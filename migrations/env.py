"""How Alembic runs inside the application: on its database, with its models.

A new migration: `.venv/bin/flask --app portal.migrating db revision --autogenerate --rev-id 0002 -m "what it changes"`.
"""

from typing import Any, Literal

from alembic import context
from flask import current_app
from sqlalchemy import Connection, Table, event

import portal.app  # noqa: F401  All models are imported with it.
from portal.extensions import Base, Moment, db


def render(kind: str, thing: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column type as the plain one it is stored as: a migration outlives the code it was made with."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, Moment) else False


@event.listens_for(Table, "before_create")
def keep_counting(table: Table, connection: Connection, **_: Any) -> None:
    """Let a table that SQLite makes anew go on without giving a number twice, which reflection does not tell."""
    name = table.name.removeprefix("_alembic_tmp_")
    if connection.dialect.name == "sqlite" and name != table.name and name in counting_tables(connection):
        table.dialect_options["sqlite"]["autoincrement"] = True


def counting_tables(connection: Connection) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '% AUTOINCREMENT%'"
    return set(connection.exec_driver_sql(query).scalars())


def last_numbers(connection: Connection) -> dict[str, int]:
    """The highest number that each table has ever given, of rows that are gone, too."""
    if not counting_tables(connection):
        return {}
    rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    return {row.name: row.seq for row in rows}


def restore_last_numbers(connection: Connection, before: dict[str, int]) -> None:
    after = last_numbers(connection)
    for name in before.keys() & counting_tables(connection):
        if before[name] > after.get(name, -1):
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, before[name]))


def run() -> None:
    """Run the migrations in one transaction.

    SQLite changes a table by making it anew, and dropping the old one would delete what refers to it; so references
    are not followed while migrations run, and checked before what they did is kept.

    Raises:
        RuntimeError: a row refers to one that is not there; nothing was changed.
    """
    arguments = current_app.extensions["migrate"].configure_args
    is_sqlite = db.engine.dialect.name == "sqlite"
    with db.engine.connect() as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            numbers = last_numbers(connection)
        context.configure(connection=connection, target_metadata=Base.metadata, render_item=render, **arguments)
        with context.begin_transaction():
            context.run_migrations()
            if is_sqlite:
                restore_last_numbers(connection, numbers)
        if is_sqlite and (astray := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
            raise RuntimeError(f"Row {astray[1]} of table {astray[0]} refers to a row of {astray[2]} that is missing.")
        connection.commit()
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")


run()
