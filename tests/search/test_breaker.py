"""The thread that waits for a dead engine."""

import gc
import threading

from portal.search.engine import EngineDown
from portal.search.opensearch.breaker import Breaker


def test_nobody_waits_for_an_engine_that_nobody_holds() -> None:
    asked: list[str] = []
    turns = threading.Semaphore(0)

    def ask() -> None:
        asked.append("once more")
        raise EngineDown("Nobody answers.")

    before = set(threading.enumerate())
    breaker = Breaker(ask, wait=lambda _seconds: not turns.acquire(timeout=60))
    breaker.failed()
    [watch] = set(threading.enumerate()) - before
    del breaker
    gc.collect()
    turns.release()
    watch.join(60)
    assert not watch.is_alive()
    assert asked == []
