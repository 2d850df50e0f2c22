"""The search page: words, facets, hits; the whole state is in its address."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flask import Blueprint, Flask, Response, render_template, request
from flask_babel import get_locale

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.search import log as search_log
from portal.search import sources
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.facets import FACETS
from portal.search.request import SORTS, RequestError, SearchRequest
from portal.search.results import FacetValue, Hit, SearchResult

blueprint = Blueprint("search", __name__)
MOST_SHOWN = 30
MOST_TOLD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A chosen value that can be taken away."""

    facet: str
    title: str
    label: str
    remaining: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedChip:
    """An operator that was typed among the words, and the words without it."""

    name: str
    label: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsPage:
    """Everything the results page shows."""

    asked: SearchRequest
    result: SearchResult
    search_id: int | None
    recent: list[str]
    category_names: Mapping[str, str]

    @property
    def chips(self) -> list[Chip]:
        """The chosen values, in the order of the facets."""
        labels = {
            (name, value.value): str(value.label) for name, values in self.result.facets.items() for value in values
        }
        return [
            Chip(
                facet=name,
                title=str(FACETS[name].label),
                label=labels.get((name, value), value),
                remaining=tuple(other for other in values if other != value),
            )
            for name, values in self.asked.filters.items()
            for value in values
        ]

    @property
    def typed_chips(self) -> list[TypedChip]:
        """The `kind:` `tag:` `product:` `id:` that were typed, in their order."""
        text = self.asked.text
        return [
            TypedChip(name=mark.name, label=mark.value, words=f"{text[: mark.start]}{text[mark.end :]}".strip())
            for mark in self.asked.query.marks
        ]

    def missing_from(self, hit: Hit) -> list[str]:
        """Return the typed words that a hit lacks, when none of the shown ones has all of them."""
        missing = [self._missing(each) for each in self.result.hits]
        if self.result.corrected_from or not missing or not all(missing):
            return []
        return self._missing(hit)

    def _missing(self, hit: Hit) -> list[str]:
        # A code may be found in another spelling than it was typed in.
        words = [word for word in self.asked.query.typed if not any(ch.isdigit() for ch in word.text)]
        if len(words) > MOST_TOLD or not hit.seen_terms:
            return []
        return [word.text for word in words if hit.seen_terms.isdisjoint(word.terms)]

    @property
    def shown_facets(self) -> list[tuple[str, str]]:
        """Name and title of the facets that have something to choose."""
        return [(facet.name, str(facet.label)) for facet in self.asked.facets if self.result.facets.get(facet.name)]

    def shown_values(self, facet: str) -> list[FacetValue]:
        """Return the values that stand on the page: the most frequent ones, and every chosen one."""
        values = self.result.facets[facet]
        return [value for place, value in enumerate(values) if place < MOST_SHOWN or value.selected]

    def trail(self, hit: Hit) -> list[str]:
        """Return the names of the categories that a hit lies in, from the root down; documents hold them leaf first."""
        return [self.category_names[slug] for slug in reversed(hit.categories) if slug in self.category_names]

    def toggled(self, facet: str, value: str) -> list[str]:
        """Return the facet's values after choosing, or taking back, one."""
        chosen = self.asked.filters.get(facet, ())
        if value in chosen:
            return [other for other in chosen if other != value]
        return [*chosen, value] if FACETS[facet].multi else [value]


@blueprint.get("/search")
@needs(Permission.READ)
def results() -> str | tuple[str, int]:
    """Answer a search, or browse when there are no words."""
    viewer = current_viewer()
    try:
        asked = SearchRequest.from_args(request.args, viewer)
    except RequestError as error:
        return render_template("search/refused.html", error=error), 400
    if viewer.is_staff and request.args.get("explain") == "1":
        asked = replace(asked, explain=True)
    locale = str(get_locale())
    result = answer(asked, engine=engine(), registry=sources.registry(), locale=locale)
    page = ResultsPage(
        asked=asked,
        result=result,
        search_id=search_log.write(asked, result, locale=locale),
        recent=search_log.recent(viewer.user_id) if viewer.user_id is not None and not asked.text else [],
        category_names=sources.registry().labels["category"](
            {slug for hit in result.hits for slug in hit.categories}, locale
        ),
    )
    return render_template("search/results.html", page=page, sorts=SORTS, degraded=result.degraded)


@blueprint.get("/opensearch.xml")
@needs(Permission.READ)
def description() -> Response:
    """Let browsers offer the portal as a search engine of their address bar."""
    return Response(render_template("search/description.xml"), mimetype="application/opensearchdescription+xml")


def init_app(app: Flask) -> None:
    """Register the page and the place where features tell what can be found."""
    sources.init_app(app)
    app.register_blueprint(blueprint)
