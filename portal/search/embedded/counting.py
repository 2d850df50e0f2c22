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


def count_spread(
    schema: tantivy.Schema, searcher: tantivy.Searcher, tokens: Collection[str], terms: Collection[Term]
) -> Mapping[Term, Spread]:
    """Count in how many documents terms stand: as tantivy counts for a score, replaced ones too, and the open ones."""
    is_open = has_any(schema, "readers", tokens)
    # Every document has this field, so its terms together count what a score counts.
    of = searcher.doc_freq("gone", 0) + searcher.doc_freq("gone", 1)
    of_open = count_hits(searcher, is_open)
    found = {}
    for field, term in terms:
        documents = open_documents = searcher.doc_freq(field.value, term)
        if documents and of_open < of:
            both = Query.boolean_query([(Occur.Must, is_open), (Occur.Must, has_term(schema, field.value, term))])
            open_documents = count_hits(searcher, both)
        found[field, term] = Spread(documents=documents, of=of, open_documents=open_documents, of_open=of_open)
    return found
