"""RQ's worker as a thread of ours: it takes jobs off the queue and outlives every restart of the queue's server."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from indexer import jobs
from portal import queue
from portal.settings import Settings

log = logging.getLogger("casebook.queue")

POLL_S = 1
LONGEST_PAUSE_S = 5.0


class ThreadWorker(SimpleWorker):
    """An RQ worker that runs in a thread: signals and commands are the process's own business."""

    # The other kind sets an alarm, which only the main thread may do.
    death_penalty_class = TimerDeathPenalty

    def __init__(self, *arguments: Any, is_stopped: threading.Event, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_stopped = is_stopped
        self.max_connection_wait_time = LONGEST_PAUSE_S

    @property
    def dequeue_timeout(self) -> int:
        """How long one wait for a job lasts, and so how late a stop may be noticed."""
        return POLL_S

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Report to the queue, unless it is time to leave: RQ passes here before every wait."""
        if self._is_stopped.is_set():
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def _install_signal_handlers(self) -> None:
        """Leave signals to the main thread."""

    def subscribe(self) -> None:
        """Take no commands: they are meant for workers that fork."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""


def listen(settings: Settings, is_stopped: threading.Event, wake: Callable[[], None]) -> None:
    """Run jobs until told to stop; without the queue's server, wait for it.  Each job calls `wake`."""
    # RQ tells every job and every heartbeat; what matters of it we say ourselves.
    logging.getLogger("rq").setLevel(logging.CRITICAL)
    pause_s, was_up = 0.5, True
    while not is_stopped.is_set():
        try:
            connection = queue.connect(settings, timeout_s=None)
            connection.ping()
            answer = _answer(connection, settings, wake)
            # A mark of an earlier life would hold back the first nudge; what it stood for is looked for now.
            answer()
            jobs.listen(answer)
            if not was_up:
                log.info("The queue answers again.")
            pause_s, was_up = 0.5, True
            worker = ThreadWorker(
                [queue.queue_of(settings, connection)],
                connection=connection,
                serializer=JSONSerializer,
                is_stopped=is_stopped,
            )
            worker.work(logging_level="CRITICAL")
        except (RedisError, OSError) as error:
            if was_up:
                log.warning("The queue does not answer (%s); saved documents are found by sweeping.", error)
            was_up = False
            is_stopped.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def _answer(connection: Redis, settings: Settings, wake: Callable[[], None]) -> Callable[[], None]:
    def answer() -> None:
        # Removed before the work is looked for: a save after this line asks for a job of its own.
        connection.delete(queue.waiting_key(settings))
        wake()

    return answer
