"""How Alembic runs inside the application: on its database, with its models.

A new migration: `.venv/bin/flask --app wsgi db revision --autogenerate --rev-id 0002 -m "what it changes"`.
"""

from typing import Any, Literal

from alembic import context
from flask import current_app

import portal.app  # noqa: F401  All models are imported with it.
from portal.extensions import Base, Moment, db


def render(kind: str, thing: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column type as the plain one it is stored as: a migration outlives the code it was made with."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, Moment) else False


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
        context.configure(connection=connection, target_metadata=Base.metadata, render_item=render, **arguments)
        with context.begin_transaction():
            context.run_migrations()
        if is_sqlite and (astray := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
            raise RuntimeError(f"Row {astray[1]} of table {astray[0]} refers to a row of {astray[2]} that is missing.")
        connection.commit()
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")


run()
