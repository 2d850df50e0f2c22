"""Runs the migrations on the database of the portal at hand: `casebook init`, or `flask db …`.

Each migration is one transaction on both databases, so a start that fails half-way has changed nothing.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy import TypeDecorator

from portal.extensions import db


def as_plain_type(kind: str, thing: Any, _autogen: AutogenContext) -> str | Literal[False]:
    """Write a type of our own as what the database makes of it: migrations outlive today's Python classes."""
    if kind == "type" and isinstance(thing, TypeDecorator):
        plain = thing.impl_instance
        if type(plain).__module__.startswith("sqlalchemy."):
            return f"sa.{plain!r}"
    return False


def run() -> None:
    """Bring the database to the revision that was asked for."""
    options = dict(current_app.extensions["migrate"].configure_args)
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=as_plain_type,
            transactional_ddl=True,
            transaction_per_migration=True,
            **options,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
