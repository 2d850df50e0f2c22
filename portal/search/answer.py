"""From a request to what is shown: the engine's answer, checked once more against SQL, or the honest fallback.

The engine already filtered by the viewer's tokens.  Here each hit is checked on its row as well, because the index may
be some seconds behind a change of audience.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from portal.access import Viewer
from portal.search import analysis
from portal.search.engine import BadQuery, EngineBusy, EngineDown, SearchEngine
from portal.search.evaluation import CUT
from portal.search.facets import UPDATED, is_own_period
from portal.search.guidance import Guidance
from portal.search.request import LONGEST_TEXT, SearchRequest
from portal.search.results import FacetValue, Hit, SearchResult, Suggestion
from portal.search.sources import Registry

Found = TypeVar("Found", Hit, Suggestion)

log = structlog.get_logger(__name__)


def answer(
    request: SearchRequest, *, engine: SearchEngine, registry: Registry, locale: str, most_named: int | None = None
) -> SearchResult:
    """Answer a request.  Never raises for an engine that is down, slow or refusing: then the answer is `degraded`.

    `most_named` is for a page that shows no more than so many values of a facet: the others keep their slugs.
    """
    try:
        result = search_corrected(request, engine=engine)
        if result.did_you_mean and not _may_be_said(result.did_you_mean, request, engine, registry):
            result = engine.search(replace(request, with_correction=False))
        result = _with_periods(result, replace(request, text=result.searched), engine)
    except (EngineDown, EngineBusy, BadQuery) as error:
        log.warning("search is degraded", reason=str(error), engine=engine.name)
        return degraded(request, registry=registry, engine_name=engine.name)
    hits = still_readable(request.viewer, result.hits, registry)
    return replace(
        result,
        hits=hits,
        rules=result.rules if request.viewer.is_staff else (),
        hidden=_count_hidden(request, result, engine) if request.viewer.is_staff else 0,
        total=result.total - (len(result.hits) - len(hits)),
        facets=named(result.facets, registry, locale, most_named),
    )


def search_corrected(request: SearchRequest, *, engine: SearchEngine) -> SearchResult:
    """Search; when nothing at all is found and the words can be mended, search for the mended words and say so.

    Raises:
        EngineDown, EngineBusy, BadQuery: as the engine does.
    """
    result = engine.search(request)
    if result.total or request.page > 1:
        return result
    mended = result.did_you_mean if request.with_correction else engine.correct(request)
    if not mended:
        return result
    corrected = engine.search(replace(request, text=mended, with_correction=False))
    if not corrected.total:
        return result
    return replace(corrected, query=request.text, corrected_from=request.text, did_you_mean=mended)


def _may_be_said(mended: str, request: SearchRequest, engine: SearchEngine, registry: Registry) -> bool:
    """Say whether each word that was put in stands where the viewer may read now, which the index may not know yet."""
    plain = SearchRequest(viewer=request.viewer, guidance=Guidance())
    for word in set(analysis.words(mended)).difference(analysis.words(request.text)):
        asked = _hits_alone(plain, text=word)
        if not still_readable(request.viewer, engine.search(asked).hits, registry):
            return False
    return True


def first_hits(
    engine: SearchEngine,
    viewer: Viewer,
    text: str,
    *,
    filters: Mapping[str, tuple[str, ...]],
    guidance: Guidance | None = None,
    with_highlights: bool = False,
) -> tuple[Hit, ...]:
    """Return the hits that a search begins with, as whoever searched would get them; all measuring asks this way.

    Raises:
        RequestError: a filter cannot be used.
        EngineDown, EngineBusy, BadQuery: as the engine does.
    """
    request = SearchRequest(
        viewer=viewer,
        text=text[:LONGEST_TEXT],
        filters=filters,
        size=CUT,
        with_facets=False,
        with_highlights=with_highlights,
        with_correction=False,
        guidance=guidance,
    )
    return search_corrected(request, engine=engine).hits


def _hits_alone(request: SearchRequest, **changes: Any) -> SearchRequest:
    """Return a request for the first hits and their number: nothing else is counted, nothing marked or mended."""
    return replace(request, page=1, with_facets=False, with_highlights=False, with_correction=False, **changes)


def _with_periods(result: SearchResult, request: SearchRequest, engine: SearchEngine) -> SearchResult:
    """Count the chosen ranges of days, which engines do not count among the ages."""
    chosen = request.filters.get(UPDATED, ())
    periods = [value for value in chosen if is_own_period(value)]
    if not periods or UPDATED not in result.facets:
        return result
    counts: dict[str, int] = {}
    for value in periods:
        alone = _hits_alone(request, filters={**request.filters, UPDATED: (value,)}, size=1)
        counts[value] = result.total if chosen == (value,) else engine.search(alone).total
    counted = tuple(replace(v, count=counts.get(v.value, v.count)) for v in result.facets[UPDATED])
    return replace(result, facets={**result.facets, UPDATED: counted})


def _count_hidden(request: SearchRequest, result: SearchResult, engine: SearchEngine) -> int:
    """Return how many hits the hides took away, for the staff who see that a rule acts."""
    if all(rule.is_pin for rule in result.rules) or not request.with_hides:
        return 0
    bare = _hits_alone(request, text=result.searched, with_hides=False, size=1)
    try:
        return max(0, engine.search(bare).total - result.total)
    except (EngineDown, EngineBusy, BadQuery):
        return 0


def degraded(request: SearchRequest, *, registry: Registry, engine_name: str) -> SearchResult:
    """Search titles in SQL under the same audience rule: no ranking, nothing hidden and nothing invented."""
    began = time.perf_counter()
    kinds = request.filters.get("kind", ())
    words = request.query.words
    total, offset = 0, request.offset
    hits: list[Hit] = []
    for source in registry.sources.values():
        found, some = source.find_titles(request.viewer, words, kinds, request.size - len(hits), offset)
        hits += some
        offset = max(0, offset - found)
        total += found
    return SearchResult(
        query=request.text,
        engine=engine_name,
        total=total,
        hits=tuple(hits),
        took_ms=(time.perf_counter() - began) * 1000,
        degraded=True,
        page=request.page,
        size=request.size,
    )


def named(
    facets: Mapping[str, tuple[FacetValue, ...]], registry: Registry, locale: str, most: int | None = None
) -> dict[str, tuple[FacetValue, ...]]:
    """Put the names of categories, products and tags in place of their slugs, with one query a facet.

    `most` names the first so many and the chosen ones alone, and of a tree all.
    """
    shown = dict(facets)
    for facet, labels in registry.labels.items():
        if values := facets.get(facet):
            is_cut = most is not None and facet not in registry.parents
            wanted = [v for at, v in enumerate(values) if at < (most or 0) or v.selected] if is_cut else values
            names = labels([value.value for value in wanted], locale)
            shown[facet] = tuple(
                FacetValue(value=v.value, label=names.get(v.value, v.label), count=v.count, selected=v.selected)
                for v in values
            )
    return shown


def still_readable(viewer: Viewer, found: Sequence[Found], registry: Registry) -> tuple[Found, ...]:
    """Return what the viewer may read at this moment of what was found: one query a kind."""
    wanted: dict[str, list[int]] = {}
    for one in found:
        kind, _, number = one.id.partition(":")
        wanted.setdefault(kind, []).append(int(number))
    readable = {
        f"{kind}:{number}"
        for kind, numbers in wanted.items()
        if kind in registry.sources
        for number in registry.sources[kind].readable_ids(viewer, numbers)
    }
    return tuple(one for one in found if one.id in readable)
