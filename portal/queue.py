"""The queue: RQ on a Redis or Valkey server, or on the one that `casebook up` starts.

It wakes the worker and remembers nothing: a nudge may be lost, and the worker sweeps by itself.  So a nudge never fails
a save and never holds it up: it waits a quarter of a second at most, and after a failure leaves the queue alone for a
while.
"""

import hashlib
import logging
import os
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from portal.settings import Settings

log = logging.getLogger("casebook.queue")

JOB = "indexer.jobs.drain"
NUDGE_TIMEOUT_S = 0.25
QUIET_S = 3.0
WAITING_MS = 2000
LONGEST_SOCKET_PATH = 100
"""Linux takes 107 bytes; a path that is cut off would listen somewhere else."""


def socket_path(settings: Settings) -> Path:
    """Return where the embedded queue listens: in the data folder, or in a private one when that path is too long.

    Raises:
        OSError: the private folder belongs to somebody else.
    """
    path = settings.data_dir / "queue" / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"casebook-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{str(folder)!r} is not a private folder of this user. Remove it.")
    return folder / "valkey.sock"


def connect(settings: Settings, *, timeout_s: float | None) -> Redis:
    """Return a connection that opens at first use.  It does not retry by itself; whoever uses it decides."""
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(timeout_s or 1.0, 1.0),
        "retry": Retry(NoBackoff(), 0),
    }
    if settings.is_embedded_queue:
        return Redis(unix_socket_path=str(socket_path(settings)), **options)
    return Redis.from_url(settings.queue_url, **options)


def queue_of(settings: Settings, connection: Redis) -> Queue:
    """Return this installation's queue; its name keeps installations on one server apart."""
    return Queue(settings.search_prefix, connection=connection, serializer=JSONSerializer)


class Nudge:
    """Wakes the worker.  Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._queue: Queue | None = None
        self._quiet_until = 0.0
        self._key = waiting_key(settings)

    def __call__(self) -> None:
        """Put one job into the queue unless one waits there already."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            queue = self._opened()
            # One waiting job is enough, however many saves.  The mark runs out by itself, should its job be lost.
            if queue.connection.set(self._key, 1, nx=True, px=WAITING_MS):
                queue.enqueue(JOB, result_ttl=0, failure_ttl=60, ttl=60, job_timeout=-1, description=JOB)
        except (RedisError, OSError) as error:
            self._quiet_until = time.monotonic() + QUIET_S
            # Without `casebook up` there is no embedded queue, and nobody who would have to know.
            level = logging.DEBUG if self._settings.is_embedded_queue else logging.WARNING
            log.log(level, "The queue could not be reached (%s); the worker will find the change by itself.", error)

    def _opened(self) -> Queue:
        with self._lock:
            if self._queue is None:
                self._queue = queue_of(self._settings, connect(self._settings, timeout_s=NUDGE_TIMEOUT_S))
            return self._queue


def waiting_key(settings: Settings) -> str:
    """Return the key that stands while a job waits; the job removes it before it looks for work."""
    return f"casebook:{settings.search_prefix}:waiting"


def is_up() -> bool:
    """Say whether the queue answers.  Never raises."""
    settings: Settings = current_app.extensions["casebook.settings"]
    try:
        connection = connect(settings, timeout_s=NUDGE_TIMEOUT_S)
        try:
            return bool(connection.ping())
        finally:
            connection.close()
    except (RedisError, OSError):
        return False


def init_app(app: Flask) -> None:
    """Let saves wake the worker."""
    app.extensions["casebook.nudge"] = Nudge(app.extensions["casebook.settings"])
