"""The search page: words, facets, hits; the whole state is in its address."""

from dataclasses import replace

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import get_locale

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.search import log as search_log
from portal.search import popular, saved_views, sources, visit, why_views
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.facets import FACETS, UPDATED, facets_for
from portal.search.page import (
    SHOWN,
    Address,
    ResultsPage,
    build_chips,
    build_groups,
    build_lines,
    build_missing,
    build_trails,
)
from portal.search.request import FIRST_DAY, LAST_DAY, RequestError, SearchRequest
from portal.search.results import SearchResult

blueprint = Blueprint("search", __name__)
MOST_COUNTED = 10_000
MOST_LISTED = 500
LONGEST_FIND = 100


@blueprint.get("/search")
@needs(Permission.READ)
def results() -> ResponseReturnValue:
    """Answer a search, or browse when there are no words."""
    if FIRST_DAY in request.args or LAST_DAY in request.args:
        return _to_period()
    viewer = current_viewer()
    answered = visit.ask(most_named=SHOWN)
    asked, result = answered.asked, answered.result
    registry = sources.registry()
    parents = {name: find() for name, find in registry.parents.items() if result.facets.get(name)}
    page = ResultsPage(
        asked=asked,
        result=result,
        address=Address(asked),
        groups=tuple(build_groups(asked, result, parents)) if not result.degraded else (),
        chips=tuple(build_chips(asked, result)),
        trails=build_trails(result.hits, _category_names(result, answered.locale)),
        missing=build_missing(asked, result),
        search_id=answered.search_id,
        recent=search_log.recent(viewer.user_id) if viewer.user_id is not None and not asked.text else (),
        popular=popular.load(viewer, answered.locale) if not asked.text or not result.hits else (),
    )
    return render_template("search/results.html", page=page, degraded=result.degraded)


def _category_names(result: SearchResult, locale: str) -> dict[str, str]:
    """Return what the hits' categories are called: the facet knows most of them already."""
    names = {value.value: str(value.label) for value in result.facets.get("category", ())}
    unknown = {slug for hit in result.hits for slug in hit.categories} - names.keys()
    if unknown:
        names |= sources.registry().labels["category"](unknown, locale)
    return names


def _to_period() -> ResponseReturnValue:
    """Turn the two days of the form into the one value that addresses hold."""
    asked = SearchRequest.from_args(request.args, current_viewer())
    return redirect(Address(asked).with_values(UPDATED, asked.filters.get(UPDATED, ())), 303)


@blueprint.get("/search/facets/<name>")
@needs(Permission.READ)
def facet_values(name: str) -> ResponseReturnValue:
    """List all values of one facet with their counts, narrowed by what is typed; as a page or its list alone."""
    viewer = current_viewer()
    facet = FACETS.get(name)
    if facet is None or facet not in facets_for(viewer) or facet.is_dates:
        abort(404)
    asked = replace(
        SearchRequest.from_args(request.args, viewer, size=1),
        page=1,
        with_highlights=False,
        with_correction=False,
        facet_limit=MOST_COUNTED,
    )
    find = request.args.get("find", "")[:LONGEST_FIND].strip()
    registry = sources.registry()
    result = answer(asked, engine=engine(), registry=registry, locale=str(get_locale()))
    parents = registry.parents[name]() if name in registry.parents else None
    values = result.facets.get(name, ())
    if find:
        values = tuple(v for v in values if find.lower() in str(v.label).lower() or v.selected)
    shown = replace(asked, size=20)
    lines = build_lines(shown, facet, values, parents)
    return render_template(
        "search/facet.html",
        facet=facet,
        asked=shown,
        address=Address(shown),
        find=find,
        lines=lines[:MOST_LISTED],
        left_out=max(0, len(lines) - MOST_LISTED),
        degraded=result.degraded,
    )


@blueprint.get("/opensearch.xml")
@needs(Permission.READ)
def description() -> Response:
    """Let browsers offer the portal as a search engine of their address bar."""
    return Response(render_template("search/description.xml"), mimetype="application/opensearchdescription+xml")


@blueprint.errorhandler(RequestError)
def refuse(error: RequestError) -> tuple[str, int]:
    """Say which part of the address cannot be used."""
    return render_template("search/refused.html", error=error), 400


def init_app(app: Flask) -> None:
    """Register the page, the log and the place where features tell what can be found."""
    sources.init_app(app)
    search_log.init_app(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(why_views.blueprint)
    app.register_blueprint(saved_views.blueprint)
