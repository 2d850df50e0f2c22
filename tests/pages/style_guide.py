"""Every macro on one page: `python -m tests.pages.style_guide [PORT]`, then look at /style-guide."""

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from flask import Flask, g, render_template, request
from flask_wtf import FlaskForm
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup
from werkzeug.exceptions import default_exceptions
from wtforms import BooleanField, EmailField, FileField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length

from portal import pages
from portal.access import ANONYMOUS, Permission, Role, viewer_for
from portal.accounts.guard import needs
from portal.extensions import csrf, now
from portal.search.facets import FACETS
from portal.search.page import Address, Group, Line
from portal.search.request import SearchRequest
from portal.settings import Settings

PLACES = (
    "/knowledge",
    "/requests",
    "/desk",
    "/records",
    "/customers",
    "/reports",
    "/admin",
    "/help",
    "/sign-in",
    "/me",
    "/search",
)
STATUSES = (400, 401, 403, 404, 409, 413, 429, 500, 503)
GROUPS = (
    Group(
        name="kind",
        title="Kind",
        lines=(
            Line(href="/", label="FAQ", count="1,204", is_chosen=True),
            Line(href="/", label="Case study", count="87", is_chosen=False),
        ),
    ),
    Group(
        name="product",
        title="Product",
        lines=(
            Line(href="/", label="Kettles", count="15", is_chosen=False),
            Line(href="/", label="Kettle K2 with a rather long name that wraps", count="12", is_chosen=True, depth=1),
            Line(href="/", label="Kettle K3", count="3", is_chosen=False, depth=1),
        ),
        all_href="/",
    ),
    Group(
        name="updated",
        title="Updated",
        lines=(Line(href="/", label="Last 7 days", count="4", is_chosen=False),),
        first_day="2026-01-01",
    ),
)


class AskForm(FlaskForm):
    """One field of each kind."""

    subject = StringField("What is it about?", [DataRequired("Write a subject, a few words are enough.")])
    email = EmailField("E-mail", [DataRequired("Write the e-mail address that we answer to.")])
    product = SelectField(
        "Product",
        choices=[SelectChoice("", "Choose one"), SelectChoice("k2", "Kettle K2"), SelectChoice("k3", "Kettle K3")],
    )
    urgency = RadioField(
        "How urgent is it?", choices=[SelectChoice("low", "It can wait"), SelectChoice("high", "I cannot work")]
    )
    body = TextAreaField(
        "What happened?", [Length(max=20000)], description="What you did, what you saw, what you expected."
    )
    photo = FileField("Picture")
    copy = BooleanField("Send me a copy")


def make_guide(settings: Settings) -> Flask:
    """Make a portal that has the guide and one page for each error, and nothing else."""
    app = Flask("portal", template_folder="../templates", static_folder=None)
    app.config["SECRET_KEY"] = settings.secret_key
    app.jinja_loader = ChoiceLoader(
        [FileSystemLoader(Path(__file__).parent / "templates"), FileSystemLoader(pages.TEMPLATES)]
    )
    csrf.init_app(app)
    pages.init_app(app, settings)

    @app.before_request
    def sign_in() -> None:
        role = request.args.get("as")
        if role:
            g.viewer = viewer_for(Role(role), user_id=1)

    @app.route("/style-guide", methods=["GET", "POST"])
    @needs(Permission.READ)
    def style_guide() -> str:
        form = AskForm(meta={"csrf": False})
        if request.args.get("wrong"):
            form.process(data={"subject": "", "email": ""})
            form.validate()
        moment = now() - timedelta(hours=3)
        return render_template(
            "style_guide.html",
            form=form,
            moment=moment,
            Markup=Markup,
            degraded=bool(request.args.get("degraded")),
            facet_groups=GROUPS,
            a_facet=FACETS["tag"],
            address=Address(SearchRequest(viewer=ANONYMOUS, text="kettle")),
        )

    for path in PLACES:

        @app.route(path, endpoint=path[1:])
        @needs(Permission.READ)
        def place() -> str:
            return render_template("home.html")

    @app.route("/style-guide/error/<int:status>")
    @needs(Permission.READ)
    def error(status: int) -> tuple[str, int]:
        return pages.render_error(default_exceptions[status]())

    return app


def main() -> None:
    """Serve it for a look."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_guide(Settings.from_environ({"CASEBOOK_DATA_DIR": folder}))
        app.run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8123, threaded=True)


if __name__ == "__main__":
    main()
