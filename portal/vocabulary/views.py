"""The pages of vocabulary."""

from flask import Blueprint, Flask

blueprint = Blueprint("vocabulary", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
