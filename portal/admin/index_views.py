"""The index page: how search keeps up, what was set aside, comparing and rebuilding."""

from dataclasses import dataclass

from flask import Blueprint, abort, current_app, flash, redirect, render_template, url_for
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response

from portal import outbox, queue
from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.outbox import OutboxRow, Statistics
from portal.search import indices
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.indices import BuildUnderWay
from portal.search.models import Heartbeat, IndexBuild, IndexCheck
from portal.search.results import EngineHealth, IndexSummary
from portal.settings import Settings

blueprint = Blueprint("index", __name__, url_prefix="/admin/index")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPage:
    """All that the page shows."""

    health: EngineHealth
    counts: Statistics
    workers: list[Heartbeat]
    queue_is_up: bool
    building: IndexBuild | None
    builds: list[IndexBuild]
    checks: list[IndexCheck]
    set_aside: list[OutboxRow]
    sizes: dict[str, IndexSummary]

    @property
    def is_busy(self) -> bool:
        """Something is going on that is worth looking at again soon."""
        return (
            self.building is not None
            or self.counts.pending > self.counts.set_aside
            or any(check.state in ("requested", "running") for check in self.checks)
            or any(build.state == "dropping" for build in self.builds)
        )


@blueprint.get("")
@needs(Permission.MANAGE_INDEX)
def show() -> str:
    """Show the index."""
    return render_template("admin/index.html", page=_page())


@blueprint.get("/state")
@needs(Permission.MANAGE_INDEX)
def show_state() -> str:
    """Show what changes by itself, for the page to put in its place."""
    return render_template("admin/index_state.html", page=_page())


@blueprint.post("/builds")
@needs(Permission.MANAGE_INDEX)
def begin_build() -> Response:
    """Ask for a rebuild."""
    settings: Settings = current_app.extensions["casebook.settings"]
    try:
        indices.request_build(engine=engine().name, prefix=settings.search_prefix, by=current_viewer())
    except BuildUnderWay:
        flash(gettext("A rebuild is under way already."), "warning")
    else:
        _tell_worker(gettext("The rebuild has been asked for. Search goes on with the present index until it is done."))
    return _back()


@blueprint.post("/checks")
@needs(Permission.MANAGE_INDEX)
def begin_check() -> Response:
    """Ask for a comparison."""
    indices.request_check(is_repair=False, by=current_viewer())
    _tell_worker(gettext("The comparison has been asked for."))
    return _back()


@blueprint.post("/repairs")
@needs(Permission.MANAGE_INDEX)
def begin_repair() -> Response:
    """Ask for a comparison that writes again whatever differs."""
    indices.request_check(is_repair=True, by=current_viewer())
    _tell_worker(gettext("The repair has been asked for."))
    return _back()


@blueprint.post("/retries")
@needs(Permission.MANAGE_INDEX)
def retry() -> Response:
    """Let what was set aside be tried again."""
    count = indices.retry_set_aside(by=current_viewer())
    _tell_worker(ngettext("%(num)s document is tried again.", "%(num)s documents are tried again.", count))
    return _back()


@blueprint.post("/builds/<int:build_id>/removal")
@needs(Permission.MANAGE_INDEX)
def remove(build_id: int) -> Response:
    """Remove an index that is kept from before."""
    if not indices.request_drop(build_id, by=current_viewer()):
        abort(404)
    _tell_worker(gettext("The old index is being removed."))
    return _back()


def _page() -> IndexPage:
    try:
        sizes = {index.name: index for index in engine().list_indices()}
    except EngineError:
        sizes = {}
    return IndexPage(
        health=engine().health(),
        counts=outbox.statistics(),
        workers=indices.workers(),
        queue_is_up=queue.is_up(),
        building=indices.build_under_way(),
        builds=[build for build in indices.latest_builds() if not build.is_under_way],
        checks=indices.latest_checks(),
        set_aside=outbox.set_aside_rows(),
        sizes=sizes,
    )


def _tell_worker(sentence: str) -> None:
    outbox.nudge()
    if indices.workers():
        flash(sentence, "success")
    else:
        flash(gettext("No worker is running: it will be done when one starts."), "warning")


def _back() -> Response:
    return redirect(url_for("index.show"), 303)
