"""The pages of api."""

from flask import Blueprint, Flask

blueprint = Blueprint("api", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
