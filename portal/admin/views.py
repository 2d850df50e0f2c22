"""The start page for those who run the portal; each subject has a module of its own."""

from flask import Blueprint, Flask, render_template

from portal.access import Permission
from portal.accounts.guard import needs
from portal.admin import audit_views, file_views, index_views, user_views

blueprint = Blueprint("admin", __name__)


@blueprint.get("/admin")
@needs(Permission.READ_AUDIT)
def start() -> str:
    """Show where things are run."""
    return render_template("admin/start.html")


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
    app.register_blueprint(user_views.blueprint)
    app.register_blueprint(audit_views.blueprint)
    app.register_blueprint(index_views.blueprint)
    app.register_blueprint(file_views.blueprint)
