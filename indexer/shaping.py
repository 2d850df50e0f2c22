"""Processes beside the one that writes, which read objects and make documents of them: a rebuild's heaviest part.

One process of Python shapes some thousand documents a second, however many processors there are.  Each of these takes
ids and versions and answers documents in the engine's own bytes.  It ends with its input, and so with whoever started
it, however that one ends; what it held is asked again.  Nothing passes here but what the outbox's versions already
guard: a version was read before its object, wherever the object is read.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from portal.renderer import frame, read_frames
from portal.search.document import Ready

ROOT = Path(__file__).resolve().parent.parent
MOST_PROCESSES = 8
MOST_REPLACEMENTS = 4

Shaped = tuple[int, Ready | str | None]
"""An object's number and what became of it: a document, why none could be made, or None where the object is gone."""


class ShaperDied(Exception):
    """A process ended before it had answered."""


def processors() -> int:
    """Return how many processors this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Shapers:
    """Some processes; each works on one slice at a time."""

    def __init__(self, *, engine: str, database_url: str, count: int) -> None:
        self.count = count
        self._start = partial(_Process, engine, database_url)
        self._processes = [self._start() for _ in range(count)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._replacing = threading.Lock()
        self._replacements_left = MOST_REPLACEMENTS
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="shapers")

    def shape(self, kind: str, versions: Mapping[int, int]) -> "Future[list[Shaped]]":
        """Begin to shape a slice; the result raises `ShaperDied` when its process has ended."""
        return self._threads.submit(self._ask, kind, versions)

    def _ask(self, kind: str, versions: Mapping[int, int]) -> list[Shaped]:
        process = self._idle.get()
        try:
            return process.ask(kind, versions)
        except ShaperDied:
            process = self._replaced(process)
            raise
        finally:
            self._idle.put(process)

    def _replaced(self, dead: "_Process") -> "_Process":
        with self._replacing:
            if not self._replacements_left:
                return dead
            self._replacements_left -= 1
            dead.end()
            self._processes.append(self._start())
            return self._processes[-1]

    def close(self) -> None:
        """End the processes; what they were at is lost and can be asked again."""
        with self._replacing:
            self._replacements_left = 0
            for process in self._processes:
                process.end()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.reap()


class _Process:
    def __init__(self, engine: str, database_url: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "indexer.shaping"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self._questions = cast("BinaryIO", self._child.stdin)
        self._answers = cast("BinaryIO", self._child.stdout)
        with contextlib.suppress(OSError):
            # Not in the command line, which everybody may read: the address may hold a password.
            self._send({"engine": engine, "database_url": database_url})

    def _send(self, value: Any) -> None:
        self._questions.write(frame(value))
        self._questions.flush()

    def ask(self, kind: str, versions: Mapping[int, int]) -> list[Shaped]:
        try:
            self._send({"kind": kind, "versions": list(versions.items())})
            header = next(read_frames(self._answers), None)
            body = self._answers.read(sum(size for _, _, size in header)) if header is not None else b""
        except (OSError, ValueError) as error:
            raise ShaperDied from error
        if header is None or len(body) < sum(size for _, _, size in header):
            raise ShaperDied
        return list(_read(kind, versions, header, memoryview(body)))

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._child.kill()

    def reap(self) -> None:
        self._child.wait()
        for stream in (self._questions, self._answers):
            with contextlib.suppress(OSError):
                stream.close()


def _read(
    kind: str, versions: Mapping[int, int], header: Iterable[tuple[int, str | None, int]], body: memoryview
) -> Iterator[Shaped]:
    at = 0
    for object_id, problem, size in header:
        if size:
            ready = Ready(id=f"{kind}:{object_id}", version=versions[object_id], body=bytes(body[at : at + size]))
            yield object_id, ready
            at += size
        else:
            yield object_id, problem


def main() -> None:
    """Answer slices until the input ends: a frame of `[number, problem, bytes]`, then the documents' bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends this process.
    frames = read_frames(sys.stdin.buffer)
    opening = next(frames, None)
    if opening is None:
        return
    with contextlib.suppress(BrokenPipeError), _database(opening["database_url"]):
        for asked in frames:
            header, bodies = _shaped(opening["engine"], asked["kind"], dict(asked["versions"]))
            sys.stdout.buffer.write(frame(header))
            sys.stdout.buffer.writelines(bodies)
            sys.stdout.buffer.flush()


def _shaped(engine: str, kind: str, versions: dict[int, int]) -> tuple[list[tuple[int, str | None, int]], list[bytes]]:
    from indexer.documents import Refusal, build_batch
    from portal.search.current import ready_maker
    from portal.search.document import Document

    make_ready = ready_maker(engine)
    header: list[tuple[int, str | None, int]] = []
    bodies: list[bytes] = []
    for item in build_batch(kind, versions):
        object_id = int(item.id.partition(":")[2])
        if isinstance(item, Refusal):
            header.append((object_id, item.reason, 0))
        elif isinstance(item, Document):
            try:
                bodies.append(make_ready(item).body)
            except (ValueError, TypeError, OverflowError) as error:
                header.append((object_id, f"cannot be indexed: {type(error).__name__}", 0))
            else:
                header.append((object_id, None, len(bodies[-1])))
        else:
            header.append((object_id, None, 0))
    return header, bodies


@contextlib.contextmanager
def _database(url: str) -> Iterator[None]:
    """Open the database alone: a whole portal takes seconds to make and much memory to keep."""
    from flask import Flask

    from portal.extensions import db

    application = Flask("shaper")
    application.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": not url.startswith("sqlite")},
    )
    db.init_app(application)
    with application.app_context():
        yield


if __name__ == "__main__":
    main()
