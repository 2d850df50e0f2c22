"""Sign-in, sign-out and what belongs to an account."""

from flask import Blueprint, Flask

import portal.accounts.models  # noqa: F401

blueprint = Blueprint("accounts", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
