"""The pages of search."""

from flask import Blueprint, Flask

blueprint = Blueprint("search", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
