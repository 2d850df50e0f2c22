"""The pages of admin."""

from flask import Blueprint, Flask

blueprint = Blueprint("admin", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
