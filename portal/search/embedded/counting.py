"""Counting facets in the embedded index, beside the search for hits."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.search import stored
from portal.search.asking import ranges_between
from portal.search.embedded.schema import column
from portal.search.facets import Facet, age_bounds


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
