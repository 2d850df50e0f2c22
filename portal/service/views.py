"""The pages of service."""

from flask import Blueprint, Flask

blueprint = Blueprint("service", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
