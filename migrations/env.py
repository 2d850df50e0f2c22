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
    """Run the migrations in one transaction."""
    arguments = current_app.extensions["migrate"].configure_args
    with db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, render_item=render, **arguments)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
