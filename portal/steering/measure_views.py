"""The pages of configurations and of what they were measured to be worth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.errors import Invalid
from portal.extensions import db
from portal.search import indices
from portal.search.current import engine
from portal.search.ranking import WEIGHTS
from portal.steering import clicks, configurations, in_force, judgements, measurements, preferences
from portal.steering.forms import ConfigurationForm
from portal.steering.models import Configuration, JudgedSet, Measurement
from portal.steering.rule_views import begin_preview

blueprint = Blueprint("configurations", __name__, url_prefix="/steering")
PRODUCT = 0
"""What the product's own weights go by in addresses."""
CHART_WIDTH, CHART_HEIGHT, CHART_EDGE = 320, 90, 8


@blueprint.route("/configurations", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def index() -> ResponseReturnValue:
    """Show the configurations with the form for a new one; an address may name one to begin from."""
    form = ConfigurationForm()
    if not form.is_submitted():
        _begin_from(form)
    if form.is_submitted() and form.validate():
        try:
            made = configurations.save(None, by=current_viewer(), changes=form.changes())
            return redirect(url_for(".one", configuration_id=made.id), 303)
        except Invalid as invalid:
            form.show_refusals(invalid.fields)
    page = render_template(
        "steering/configurations.html",
        configurations=configurations.load_all(),
        active=configurations.find_active(),
        standard=asdict(WEIGHTS),
        form=form,
    )
    return page, 422 if form.is_submitted() else 200


@blueprint.route("/configurations/<int:configuration_id>", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def one(configuration_id: int) -> ResponseReturnValue:
    """Show a configuration beside the one in use; number 0 stands for the product's own weights."""
    found = _found(configuration_id)
    if found is None and request.method == "POST":
        abort(405)
    weights = asdict(in_force.weights_of(found.weights if found else {}))
    form = ConfigurationForm(data={**weights, "name": found.name if found else "", "note": found.note if found else ""})
    if form.is_submitted() and form.validate():
        try:
            configurations.save(found, by=current_viewer(), changes=form.changes())
        except Invalid as invalid:
            form.show_refusals(invalid.fields)
        else:
            flash(gettext("The configuration is saved."), "success")
            return redirect(url_for(".one", configuration_id=configuration_id), 303)
    page = render_template(
        "steering/configuration.html",
        configuration=found,
        configuration_id=configuration_id,
        active=configurations.find_active(),
        compared=configurations.compare(found, engine_name=engine().name),
        waiting=measurements.load_open(),
        form=form,
        standard=asdict(WEIGHTS),
    )
    return page, 422 if form.is_submitted() else 200


@blueprint.post("/configurations/<int:configuration_id>/deletion")
@needs(Permission.STEER_SEARCH)
def delete(configuration_id: int) -> Response:
    """Remove a configuration."""
    found = _found(configuration_id) or abort(404)
    try:
        configurations.delete(found, by=current_viewer())
    except Invalid as invalid:
        flash(str(invalid), "danger")
        return redirect(url_for(".one", configuration_id=configuration_id), 303)
    flash(gettext("The configuration is removed."), "success")
    return redirect(url_for(".index"), 303)


@blueprint.post("/configurations/<int:configuration_id>/measurements")
@needs(Permission.STEER_SEARCH)
def compare(configuration_id: int) -> Response:
    """Ask for a configuration to be measured beside the one in use."""
    count = configurations.request_comparison(_found(configuration_id), engine_name=engine().name, by=current_viewer())
    _told_waiting(count)
    return redirect(url_for(".one", configuration_id=configuration_id), 303)


@blueprint.post("/configurations/<int:configuration_id>/activation")
@needs(Permission.STEER_SEARCH)
def activate(configuration_id: int) -> Response:
    """Use a configuration from now on, unless it is worse and nobody says why it should be used all the same."""
    found = _found(configuration_id)
    before = configurations.find_active()
    try:
        configurations.activate(
            found, by=current_viewer(), engine_name=engine().name, reason=request.values.get("reason", "")
        )
    except (configurations.Loses, Invalid) as refused:
        flash(str(refused), "danger")
    else:
        sentence = gettext("It is in use within five seconds.")
        reason = gettext("Taken back")
        back = url_for(".activate", configuration_id=before.id if before else PRODUCT, reason=reason)
        flash((sentence, back), "success")  # type: ignore[arg-type]  # The look's shape.
    return redirect(url_for(".one", configuration_id=configuration_id), 303)


@blueprint.post("/configurations/<int:configuration_id>/previews")
@needs(Permission.STEER_SEARCH)
def preview(configuration_id: int) -> Response:
    """Ask what a configuration changes in what people searched lately."""
    found = _found(configuration_id) or abort(404)
    return begin_preview("configuration", found.id)


# What was measured


@dataclass(frozen=True, slots=True)
class Chart:
    """nDCG@10 over time as points in a picture, and the same numbers for the table beside it."""

    name: str
    is_by_clicks: bool
    rows: Sequence[Measurement]

    @property
    def lines(self) -> list["Line"]:
        """A line for each configuration: from left to right in time, 0 below and 1 on top."""
        step = (CHART_WIDTH - 2 * CHART_EDGE) / max(1, len(self.rows) - 1)
        height = CHART_HEIGHT - 2 * CHART_EDGE
        found: dict[tuple[int | None, str], list[tuple[float, float]]] = {}
        for at, row in enumerate(self.rows):
            place = (round(CHART_EDGE + at * step, 1), round(CHART_EDGE + (1 - row.ndcg) * height, 1))
            found.setdefault((row.configuration_id, row.configuration_name), []).append(place)
        return [Line(name, points) for (_, name), points in found.items()]


@dataclass(frozen=True, slots=True)
class Line:
    """The measurements of one configuration in a chart."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def drawn(self) -> str:
        """The points as the picture takes them."""
        return " ".join(f"{x},{y}" for x, y in self.points)


@blueprint.route("/measurements", methods=["GET", "POST"])
@needs(Permission.STEER_SEARCH)
def measured() -> ResponseReturnValue:
    """Show how good the ranking was found to be, by set and over time; ask for what is in use to be measured."""
    if request.method == "POST":
        active = configurations.find_active()
        judged_sets: list[JudgedSet | None] = [*judgements.load_sets(), None]
        for judged_set in judged_sets:
            measurements.request(active, judged_set, engine_name=engine().name, by=current_viewer())
        _told_waiting(len(judged_sets))
        return redirect(url_for(".measured"), 303)
    return render_template("steering/measurements.html", **_measured_page())


@blueprint.get("/measurements/state")
@needs(Permission.STEER_SEARCH)
def measured_state() -> str:
    """Show what changes by itself, for the page to put in its place."""
    return render_template("steering/measurements_state.html", **_measured_page())


def _measured_page() -> dict[str, Any]:
    charts = [
        Chart(name, is_by_clicks, measurements.load_history(name, is_by_clicks=is_by_clicks))
        for name, is_by_clicks in [*((name, False) for name in measurements.load_names()), (clicks.NAME, True)]
    ]
    return {
        "charts": charts,
        "waiting": measurements.load_open(),
        "failed": measurements.load_failed(),
        "outcomes": preferences.load_outcomes(),
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "edge": CHART_EDGE,
    }


def _told_waiting(count: int) -> None:
    if not count:
        flash(gettext("Everything is measured already."), "success")
    elif indices.workers():
        flash(ngettext("%(num)s measurement is asked for.", "%(num)s measurements are asked for.", count), "success")
    else:
        flash(gettext("No worker is running: it will be done when one starts."), "warning")


def _begin_from(form: ConfigurationForm) -> None:
    given = request.args.get("from", "")
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    found = db.session.get(Configuration, number) if number else None
    if found is not None:
        for name, value in asdict(in_force.weights_of(found.weights)).items():
            form[name].data = value
        form.note.data = found.note


def _found(configuration_id: int) -> Configuration | None:
    if configuration_id == PRODUCT:
        return None
    return db.session.get(Configuration, configuration_id) or abort(404)
