"""What a search box offers while somebody types: titles, earlier searches, places; and before, what to begin with.

Titles come from the engine, within the viewer's rights; so do the hits that stand in for titles where hardly one begins
as typed.  Of earlier searches, one's own and popular ones are offered.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

import structlog
from markupsafe import Markup, escape

from portal.access import Viewer
from portal.search import log as search_log
from portal.search import popular
from portal.search.answer import still_readable
from portal.search.engine import EngineError, SearchEngine
from portal.search.highlight import mark_places
from portal.search.request import SearchRequest
from portal.search.results import Suggestion
from portal.search.sources import Place, Registry

MOST_TITLES = 8
FEW_TITLES = 3
SHORTEST_FOR_HITS = 3
MOST_OWN = 3
MOST_POPULAR = 3
MOST_PLACES = 2
FIRST_OWN = 6
FIRST_POPULAR = 6
LOOKED_THROUGH = 50

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedSearch:
    """Words that were searched before; `html` marks what was typed."""

    words: str
    html: Markup
    url: str
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Everything that is offered."""

    titles: tuple[Suggestion, ...] = ()
    searches: tuple[OfferedSearch, ...] = ()
    places: tuple[Place, ...] = ()
    degraded: bool = False


def offer(viewer: Viewer, text: str, *, locale: str, engine: SearchEngine, registry: Registry) -> Offers:
    """Return what to offer for what is typed so far; with nothing typed, one's latest and the popular searches."""
    own = _own(viewer, text)
    if not text:
        others = popular.load(viewer, locale, FIRST_POPULAR)
        return Offers(searches=_searches(own[:FIRST_OWN], others, text))
    searches = _searches(own[:MOST_OWN], popular.complete(viewer, text, MOST_POPULAR), text)
    places = tuple(place for find in registry.places for place in find(viewer, text, locale, MOST_PLACES))
    try:
        titles = still_readable(viewer, engine.suggest(viewer, text, MOST_TITLES), registry)
        if len(titles) < FEW_TITLES and len(text) >= SHORTEST_FOR_HITS:
            titles = (*titles, *_hits(viewer, text, {title.id for title in titles}, engine, registry))
    except EngineError as error:
        logger.warning("suggestions are degraded", reason=str(error))
        return Offers(searches=searches, places=places, degraded=True)
    return Offers(titles=titles, searches=searches, places=places)


def _own(viewer: Viewer, text: str) -> list[str]:
    if viewer.user_id is None:
        return []
    key = search_log.key_of(text)
    latest = search_log.recent(viewer.user_id, LOOKED_THROUGH)
    return [words for words in latest if (found := search_log.key_of(words)) != key and found.startswith(key)]


def _searches(own: list[str], others: list[str], text: str) -> tuple[OfferedSearch, ...]:
    is_own = {search_log.key_of(words): True for words in own}
    found = [*own, *(words for words in others if search_log.key_of(words) not in is_own)]
    return tuple(
        OfferedSearch(
            words=words,
            html=_marked(words, text),
            url="/search?" + urlencode({"q": words}),
            is_own=search_log.key_of(words) in is_own,
        )
        for words in found
    )


def _marked(words: str, text: str) -> Markup:
    at = words.lower().find(text.lower()) if text else -1
    # A letter that changes its length with its case would move what is marked.
    if at < 0 or len(words.lower()) != len(words):
        return escape(words)
    return mark_places(words, [(at, at + len(text))])


def _hits(viewer: Viewer, text: str, known: set[str], engine: SearchEngine, registry: Registry) -> list[Suggestion]:
    request = SearchRequest(viewer=viewer, text=text, size=FEW_TITLES, with_facets=False, with_correction=False)
    return [
        Suggestion(id=hit.id, kind=hit.kind, title=hit.title, title_html=hit.title_html, url=hit.url)
        for hit in still_readable(viewer, engine.search(request).hits, registry)
        if hit.id not in known
    ]
