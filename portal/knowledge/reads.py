"""Counting how often articles are read, without a write for each reader.

Each web process adds up in memory and writes the sums after an answer has been sent, at most every few seconds.  What
was counted since then is lost when the process ends: it is a figure for orders and reports, not for accounts.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.knowledge import votes

EVERY_S = 15.0
MOST_HELD = 500
log = structlog.get_logger(__name__)


class ReadCounter:
    """Sums of one process."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()
        self._written_at = time.monotonic()

    def add(self, article_id: int) -> Callable[[], None]:
        """Count one reading and return what is to be called once the answer has been sent."""
        with self._lock:
            self._counts[article_id] += 1
        return self.write_if_due

    def write_if_due(self) -> None:
        """Write the sums when the last time is long enough ago."""
        with self._lock:
            is_due = time.monotonic() - self._written_at >= EVERY_S or len(self._counts) >= MOST_HELD
        if is_due:
            self.write()

    def write(self) -> None:
        """Write the sums now; what cannot be written is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._written_at = time.monotonic()
        if not counts:
            return
        try:
            with self._app.app_context():
                votes.add_views(counts)
                db.session.remove()
        except SQLAlchemyError as error:
            log.warning("readings could not be counted yet", reason=str(error).splitlines()[0])
            with self._lock:
                self._counts += counts


def counter() -> ReadCounter:
    """Return the running app's counter."""
    return cast("ReadCounter", current_app.extensions["casebook.reads"])


def init_app(app: Flask) -> None:
    """Give the app its counter."""
    app.extensions["casebook.reads"] = ReadCounter(app)
