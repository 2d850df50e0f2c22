"""The pages of customers."""

from flask import Blueprint, Flask

blueprint = Blueprint("customers", __name__)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
