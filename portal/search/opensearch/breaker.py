"""A circuit breaker: readers do not wait for an engine that does not answer."""

import logging
import threading
import weakref
from collections.abc import Callable

from portal.search.engine import EngineError

log = logging.getLogger("casebook.search")

FIRST_PAUSE_S = 0.5
"""A single query that took too long keeps the others from the engine no longer than this and one answer."""
PAUSE_S = 2.0


class Breaker:
    """Keeps readers from a dead engine: after one wait in vain nobody waits, until a thread of its own had an answer.

    So no reader ever tries on behalf of the others, and the engine is used again without anybody having to ask for it.
    """

    def __init__(self, probe: Callable[[], object], *, wait: Callable[[float], bool] | None = None) -> None:
        """`probe` asks the engine and raises `EngineError`; `wait` sleeps and says whether all is over."""
        self._probe = probe
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._lock = threading.Lock()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the engine is not asked at the moment."""
        return self._is_open

    def failed(self) -> None:
        """Note that nobody answered."""
        with self._lock:
            if self._is_open or self._over.is_set():
                return
            self._is_open = True
        watch = threading.Thread(target=_watch, args=(weakref.ref(self), self._wait), daemon=True, name="engine watch")
        watch.start()

    def close(self) -> None:
        """Ask no more."""
        self._over.set()

    def look(self) -> bool:
        """Ask the engine; return whether readers may ask it again."""
        try:
            self._probe()
        except EngineError:
            return False
        except Exception:
            log.exception("The search engine could not be asked; it is asked again.")
            return False
        with self._lock:
            self._is_open = False
        return True


def _watch(found: weakref.ref[Breaker], wait: Callable[[float], bool]) -> None:
    """Look again and again until the engine answers, or until nobody holds the breaker any more."""
    pause_s = FIRST_PAUSE_S
    while not wait(pause_s):
        breaker = found()
        if breaker is None:
            return
        if breaker.look():
            if pause_s == PAUSE_S:
                log.info("The search engine answers again.")
            return
        pause_s = PAUSE_S
        del breaker
