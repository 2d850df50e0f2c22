"""How Alembic runs inside the application: on its database, with its models.

A new migration: `.venv/bin/flask --app wsgi db revision --autogenerate --rev-id 0002 -m "what it changes"`.
"""

from alembic import context
from flask import current_app

import portal.app  # noqa: F401  All models are imported with it.
from portal.extensions import Base, db


def run() -> None:
    """Run the migrations in one transaction."""
    arguments = current_app.extensions["migrate"].configure_args
    if context.is_offline_mode():
        context.configure(url=db.engine.url.render_as_string(hide_password=False), target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
    with db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, **arguments)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
