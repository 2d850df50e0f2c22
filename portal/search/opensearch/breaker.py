"""A circuit breaker: readers do not wait for an engine that does not answer."""

import threading
import time
from collections.abc import Callable

from portal.search.engine import EngineDown

FAILURES_TO_OPEN = 2
OPEN_FOR_S = 5.0


class Breaker:
    """Stops asking a dead engine: after some failures in a row nobody waits, and one caller at a time tries again."""

    def __init__(
        self,
        failures: int = FAILURES_TO_OPEN,
        open_for_s: float = OPEN_FOR_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_for_s = open_for_s
        self._clock = clock
        self._failures = 0
        self._try_again_at = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Go on, or raise `EngineDown` at once."""
        with self._lock:
            if self._failures < self._limit:
                return
            moment = self._clock()
            if moment < self._try_again_at:
                raise EngineDown("OpenSearch did not answer a moment ago; it is asked again in a few seconds.")
            # This caller tries; the others keep failing fast until it knows more.
            self._try_again_at = moment + self._open_for_s

    def succeeded(self) -> None:
        """Note an answer, of whatever kind."""
        self._failures = 0

    def failed(self) -> None:
        """Note that nobody answered."""
        with self._lock:
            self._failures += 1
            self._try_again_at = self._clock() + self._open_for_s
