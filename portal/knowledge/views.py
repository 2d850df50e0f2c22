"""The pages of knowledge."""

from flask import Blueprint, Flask

blueprint = Blueprint("knowledge", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
