"""What both engines read out of a request before they make queries of it, and how both tell what they counted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from portal.access import Viewer
from portal.search import stored
from portal.search.facets import Facet, count_ages
from portal.search.guidance import Guidance
from portal.search.highlight import Marker
from portal.search.query import read_words
from portal.search.ranking import Field, Plan
from portal.search.request import SearchRequest
from portal.search.results import Hit, SearchResult

REFINED = 100
"""So many of the best hits are scored by a plan's refining clauses, too."""

Found = tuple[float, str, Mapping[str, Any]]
"""A found document: its score, its id, and what is stored of it."""

Weigh = Callable[[Plan, Viewer], Plan]
"""Weighs a plan's terms for a viewer; see `portal.search.rarity`."""

Bound = TypeVar("Bound")

_ORDERS: Mapping[str, str] = {"newest": "updated_at", "popular": "popularity"}


def order_of(request: SearchRequest) -> str | None:
    """Return the field whose largest values come first; None where relevance says what comes first."""
    return _ORDERS.get(request.effective_sort)


def plan_of(request: SearchRequest, guidance: Guidance, weigh: Weigh, *, is_loose: bool) -> Plan:
    """Return what an engine looks for; where no score says what comes first, no term need be weighed."""
    plan = guidance.plan(request.query, is_staff=request.viewer.is_staff, is_loose=is_loose)
    return plan if order_of(request) else weigh(plan, request.viewer)


def fields_of_words(viewer: Viewer) -> list[Field]:
    """Return the fields in which a word that was typed may stand for this viewer."""
    fields = [Field.ALL, Field.CODES, Field.CHARACTERS]
    return [*fields, Field.INTERNAL] if viewer.is_staff else fields


def nothing_found(request: SearchRequest, engine: str) -> SearchResult:
    """Return the answer to words that can match no document."""
    return SearchResult(query=request.text, engine=engine, total=0, hits=(), page=request.page, size=request.size)


def find_loosely(request: SearchRequest, find: Callable[[SearchRequest, bool], SearchResult]) -> SearchResult:
    """Answer a request; when its words match nothing at all, answer it loosely: `find(request, is_loose)`."""
    result = find(request, False)
    if result.total == 0 and is_loose(request, find):
        return find(request, True)
    return result


def is_loose(request: SearchRequest, find: Callable[[SearchRequest, bool], SearchResult]) -> bool:
    """Say whether a request's words match nothing, whatever filters are chosen, and may be sought more loosely."""
    if not request.query.may_loosen:
        return False
    bare = replace(request, filters={}, page=1, size=1, with_facets=False, with_highlights=False, with_correction=False)
    return find(bare, False).total == 0


def find_alike(
    viewer: Viewer, text: str, guidance: Guidance, weigh: Weigh, find: Callable[[Plan], Iterable[Found]]
) -> tuple[Hit, ...]:
    """Answer a longer text with what is like it.  No rule acts: editors steer what people search, not what is alike."""
    plan = guidance.plan(read_words(text), is_staff=viewer.is_staff)
    if not plan.matching:
        return ()
    marker = Marker(plan)
    return tuple(
        stored.build_hit(document_id, data, score=score, marker=marker, is_staff=viewer.is_staff)
        for score, document_id, data in find(weigh(plan, viewer))
    )


def ranges_between(bounds: Sequence[Bound]) -> list[dict[str, Bound]]:
    """Return what stands before the first, between two and after the last of some bounds, as both engines ask it."""
    return [{"to": bounds[0]}, *({"from": a, "to": b} for a, b in pairwise(bounds)), {"from": bounds[-1]}]


def counts_of(facet: Facet, answer: Mapping[str, Any]) -> dict[str, int]:
    """Return a facet's counts from an aggregation's buckets, which both engines give in the same shape."""
    buckets = answer["buckets"]
    if facet.is_dates:
        return count_ages([bucket["doc_count"] for bucket in buckets]) if buckets else {}
    return {bucket["key"]: bucket["doc_count"] for bucket in buckets}
