"""What was answered and how long it took: counted by each web process, told together by any of them.

Web processes share a folder of small mapped files (`prometheus_client`'s multiprocess mode), so that a scrape finds the
figures of all of them whichever answers it.  What a process counted stays when the process ends.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
EXTENSION = "casebook.traffic"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Traffic:
    """The counters of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "casebook_requests",
            "Requests answered",
            ["status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "casebook_request_seconds", "How long answers took", ["route"], buckets=BUCKETS, registry=self.registry
        )

    def note(self, *, status: int, route: str, seconds: float) -> None:
        """Count one answer; `route` is an endpoint's name, never an address that somebody typed."""
        self._answers.labels(f"{status // 100}xx").inc()
        self._seconds.labels(route).observe(seconds)


@contextmanager
def shared_among_processes() -> Iterator[None]:
    """Keep the figures of all web processes that are forked inside; they go when the process that began this ends."""
    folder, owner = tempfile.mkdtemp(prefix="casebook-figures-"), os.getpid()
    os.environ[FOLDER] = folder
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


def init_app(app: Flask) -> None:
    """Count every answer."""
    app.extensions[EXTENSION] = Traffic()

    @app.before_request
    def begin() -> None:
        g.began_at = time.perf_counter()

    @app.after_request
    def end(answer: Response) -> Response:
        seconds = time.perf_counter() - g.get("began_at", time.perf_counter())
        _traffic().note(status=answer.status_code, route=request.endpoint or "unknown", seconds=seconds)
        return answer


def registry() -> CollectorRegistry:
    """Return where the figures of all web processes are read."""
    if FOLDER not in os.environ:
        return _traffic().registry
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


def _traffic() -> Traffic:
    return cast("Traffic", current_app.extensions[EXTENSION])
