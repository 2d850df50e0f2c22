"""The first page: the search box, the categories with their counts, what is used most and what is new."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from flask import Blueprint, Flask, render_template
from flask_babel import get_locale

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.knowledge import findable
from portal.search.answer import still_readable
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.request import SearchRequest
from portal.search.results import Hit
from portal.search.sources import registry
from portal.vocabulary import categories
from portal.vocabulary.models import Category

blueprint = Blueprint("home", __name__)
log = structlog.get_logger(__name__)
LISTED = 6
LOOKED_AT = 40
MOST_PLACES = 12
ARTICLES = {"kind": ("faq", "case_study"), "status": ("published",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A category of the first level, how it is called and how many articles this viewer finds in it."""

    category: Category
    label: str
    about: str
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """Everything the first page shows."""

    places: list[Place]
    has_more_places: bool
    popular: tuple[Hit, ...]
    newest: tuple[Hit, ...]
    degraded: bool


def build_page(viewer: Viewer, locale: str) -> HomePage:
    """Ask the engine once for what is used most, with the counts, and once for what is new."""
    asked = SearchRequest(viewer=viewer, filters=ARTICLES, sort="popular", size=LOOKED_AT, with_highlights=False)
    tops = [category for category in categories.load_all(viewer) if category.parent_id is None]
    try:
        popular = engine().search(asked)
        newest = engine().search(
            SearchRequest(
                viewer=viewer, filters=ARTICLES, sort="newest", size=LOOKED_AT, with_highlights=False, with_facets=False
            )
        )
    except EngineError as error:
        log.warning("the first page is degraded", reason=str(error))
        _, hits = findable.find_titles(viewer, (), ARTICLES["kind"], LISTED, 0)
        places = [
            Place(category=top, label=top.label(locale), about=top.about(locale), count=None)
            for top in tops[:MOST_PLACES]
        ]
        more = len(tops) > MOST_PLACES
        return HomePage(places=places, has_more_places=more, popular=(), newest=tuple(hits), degraded=True)
    counts = {value.value: value.count for value in popular.facets.get("category", ())}
    # Where there are many topics, the fullest ones stand here, still in the editors' order.
    fullest = {top.id for top in sorted(tops, key=lambda top: -counts.get(top.slug, 0))[:MOST_PLACES]}
    return HomePage(
        places=[
            Place(category=top, label=top.label(locale), about=top.about(locale), count=counts.get(top.slug, 0))
            for top in tops
            if top.id in fullest
        ],
        has_more_places=len(tops) > MOST_PLACES,
        popular=_listed(viewer, popular.hits, locale),
        newest=_listed(viewer, newest.hits, locale),
        degraded=False,
    )


def _listed(viewer: Viewer, hits: Sequence[Hit], locale: str) -> tuple[Hit, ...]:
    """Take the first few, those in the reader's language before all others."""
    own_language_first = sorted(hits, key=lambda hit: hit.language != locale)
    return still_readable(viewer, tuple(own_language_first[:LISTED]), registry())


@blueprint.get("/")
@needs(Permission.READ)
def home() -> str:
    """Show the first page."""
    page = build_page(current_viewer(), str(get_locale()))
    return render_template("home/home.html", page=page, degraded=page.degraded)


@blueprint.get("/help")
@needs(Permission.READ)
def help_() -> str:
    """Say how to search, and how to reach a person."""
    return render_template("home/help.html")


def init_app(app: Flask) -> None:
    """Register the page."""
    app.register_blueprint(blueprint)
