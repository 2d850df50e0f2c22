"""Alembic on the portal's database: `flask --app portal.migrating db …`, and what brings the tables up to date.

Nothing that only serves imports this: Alembic and what comes with it are eight megabytes of a process.
"""

import warnings

import flask_migrate
from flask import Flask, current_app

import portal.app
from portal.extensions import db
from portal.health.state import MIGRATIONS

migrate = flask_migrate.Migrate(db=db, directory=str(MIGRATIONS), render_as_batch=True, compare_type=True)


def create_app() -> Flask:
    """Make the portal that `flask db` works on."""
    app = portal.app.create_app()
    migrate.init_app(app)
    return app


def upgrade(revision: str = "head") -> None:
    """Bring the tables of the current application to what this version expects, or an earlier one."""
    migrate.init_app(current_app)
    with warnings.catch_warnings():
        # SQLite cannot reflect expressions of indices; nothing of ours is reflected.
        warnings.simplefilter("ignore")
        flask_migrate.upgrade(revision=revision)
