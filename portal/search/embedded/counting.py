"""Counting in the embedded index: facets, beside the search for hits, and how terms are spread."""

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import tantivy
from tantivy import Occur, Query

from portal.search import stored
from portal.search.asking import ranges_between
from portal.search.embedded.queries import count_hits, has_any, has_term
from portal.search.embedded.schema import column
from portal.search.facets import Facet, age_bounds
from portal.search.rarity import Spread, Term


@dataclass(slots=True)
class _Threads:
    """Threads beside the ones that ask; a forked process makes its own."""

    pid: int = 0
    pool: ThreadPoolExecutor | None = None


_THREADS = _Threads()


def threads_beside() -> ThreadPoolExecutor:
    """Return this process's threads for counting."""
    if _THREADS.pool is None or _THREADS.pid != os.getpid():
        _THREADS.pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="facets")
        _THREADS.pid = os.getpid()
    return _THREADS.pool


def aggregation_of(facet: Facet, now: datetime, limit: int) -> dict[str, Any]:
    """Return what tantivy is asked to count a facet, at most so many values of it."""
    if not facet.is_dates:
        return {"terms": {"field": column(facet.name), "size": limit, "segment_size": 10 * limit}}
    bounds = [stored.epoch(moment) for moment in age_bounds(now)]
    return {"range": {"field": "updated_at", "ranges": ranges_between(bounds)}}


@dataclass(frozen=True, slots=True)
class TermCounts:
    """How terms are spread, of one searcher; see `portal.search.rarity.Counts`."""

    schema: tantivy.Schema
    searcher: tantivy.Searcher

    def in_index(self, terms: Collection[Term]) -> Mapping[Term, Spread]:
        """Count as a score does, replaced documents too."""
        # Every document has this field, so its terms together stand in all of them.
        of = self.searcher.doc_freq("gone", 0) + self.searcher.doc_freq("gone", 1)
        return {term: Spread(self.searcher.doc_freq(term[0].value, term[1]), of) for term in terms}

    def in_open(self, tokens: Collection[str], terms: Collection[Term]) -> Mapping[Term, Spread]:
        """Count the documents with one of these tokens."""
        is_open = has_any(self.schema, "readers", tokens)
        of = count_hits(self.searcher, is_open)
        found = {}
        for field, term in terms:
            parts = (is_open, has_term(self.schema, field.value, term))
            both = Query.boolean_query([(Occur.Must, part) for part in parts])
            found[field, term] = Spread(count_hits(self.searcher, both), of)
        return found
