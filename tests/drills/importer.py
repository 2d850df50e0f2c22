"""Imports that run beside everything else: one file after the other, each taken up again if it stopped.

A line is acknowledged when the command that took its file has ended well; from then on it is in the ledger like any
other write, and is judged by the same measure.  The first files bring records, the later ones change what they brought.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from opensearch.node.child import Child
from tests.benchmarks.texts import Texts, write
from tests.drills.ledger import Ledger, Thing
from tests.drills.places import RECOVERY_S, Place

SOURCE = "drill"
NEW_FILES = 8
"""So many files bring new records; what follows changes them, so that a long run judges a corpus of bounded size."""
MOST_PENDING = 4_000
"""An import waits while the index has so much to catch up with: people's writes are what the drill is about."""
POLL_S = 0.05


class Importer(threading.Thread):
    """Runs `casebook import records` until told to stop.

    At most `share` of all acknowledged writes are imported lines, but for the moment of a kill a file is always taken.
    """

    def __init__(self, place: Place, ledger: Ledger, *, seed: int, lines: int, share: float = 0.5) -> None:
        super().__init__(name="importer", daemon=True)
        self._place, self._ledger = place, ledger
        self._texts, self._random = Texts(seed=seed), random.Random(f"{seed}/imports")
        self._lines, self._share = lines, share
        self._engine = create_engine(place.database_url, poolclass=NullPool)
        self._things: list[list[Thing]] = []
        self._running: Child | None = None
        self._lock = threading.Lock()
        """Held while the process that takes a file is started or is stopped for a moment."""
        self._wanted, self._over = threading.Event(), threading.Event()
        self.files = 0
        self.taken_up_again = 0

    # What the drill asks of it

    @contextmanager
    def held_in_its_middle(self) -> Iterator[None]:
        """Let an import stand still in its middle: its first batch is in SQL, its last is not."""
        deadline = time.monotonic() + RECOVERY_S
        self._wanted.set()
        try:
            while (running := self._hold()) is None:
                assert self.is_alive(), "the importer ended"
                assert time.monotonic() < deadline, f"no import came to its middle in {RECOVERY_S:.0f} s"
                time.sleep(POLL_S)
        finally:
            self._wanted.clear()
        try:
            yield
        finally:
            running.resume()

    def stop(self) -> None:
        """Take no further file; the one in hand is taken to its end."""
        self._over.set()

    # The thread

    def run(self) -> None:
        try:
            while not self._over.is_set():
                if self._wanted.is_set() or self._may_go_on():
                    self._take_file()
                else:
                    self._over.wait(POLL_S)
        except Exception as error:
            self._ledger.violate(f"the importer failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._engine.dispose()

    def _may_go_on(self) -> bool:
        others = self._ledger.acknowledged - self._ledger.imported
        if self._ledger.imported + self._lines > self._share / (1 - self._share) * others:
            return False
        pending = self._ask("SELECT count(*) FROM outbox WHERE version > indexed_version")
        return pending is not None and pending < MOST_PENDING

    def _take_file(self) -> None:
        self.files += 1
        began = time.monotonic()
        is_new = len(self._things) < NEW_FILES
        if is_new:
            first = len(self._things) * self._lines
            numbers = range(first, first + self._lines)
            self._things.append([Thing("import", f"imp{number:07d}n") for number in numbers])
        things = self._things[-1] if is_new else self._things[self._random.randrange(NEW_FILES)]
        lines = list(self._shape(things))
        path = write(self._place.folder / "import.jsonl", lines)
        while not self._launch(str(path)):
            self.taken_up_again += 1
            assert self.taken_up_again <= 50 + 2 * self.files, f"an import does not end: {self._log_end()}"
            time.sleep(0.5)
        for thing, line in zip(things, lines, strict=True):
            thing.fields = fields_of(line)
            thing.entries = [entry["body"] for entry in line["meta"]["entries"]]
            if is_new:
                self._ledger.add(thing)
        self._ledger.acknowledge_import(self._lines, is_new=is_new, took_s=time.monotonic() - began)

    def _shape(self, things: list[Thing]) -> Iterator[dict[str, Any]]:
        """A line for each, with a title that begins with its word, and a new entry beside those it had."""
        for thing, line in zip(things, self._texts.records(len(things)), strict=True):
            meta = line["meta"]
            at = meta["created_at"]
            meta["serial_number"] = self._mark
            bodies = thing.entries
            if self._random.random() < 0.2:
                bodies = [*bodies, f"{thing.marker}e{len(bodies):03d}"]
            meta["entries"] = [{"kind": "note", "body": body, "at": "2026-01-01T00:00:00+00:00"} for body in bodies]
            meta |= {"created_at": at, "updated_at": at}
            title = " ".join([thing.marker, *line["title"].split()])
            yield line | {"id": thing.marker, "title": title[:200].rstrip()}

    @property
    def _mark(self) -> str:
        """What every record of the file in hand carries, so that it can be counted how far its import is."""
        return f"FILE{self.files:06d}"

    def _launch(self, path: str) -> bool:
        """Take the file, or the rest of it; return whether the command ended well."""
        with self._lock:
            running = self._place.portal.launch(
                "import", "records", path, "--source", SOURCE, log=self._place.folder / "import.log"
            )
            # People who wait for an answer come first.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, running.pid, 10)
            self._running = running
        while running.is_running:
            time.sleep(POLL_S)
        return running.returncode == 0

    def _log_end(self) -> str:
        return self._running.log_end() if self._running is not None else ""

    def _hold(self) -> Child | None:
        """Stop the process in hand if it is in its middle, and look again once it stands still."""
        with self._lock:
            running = self._running
            if running is None or not running.is_running or not self._is_in_its_middle():
                return None
            running.pause()
            if running.is_running and self._is_in_its_middle():
                return running
            running.resume()
            return None

    def _is_in_its_middle(self) -> bool:
        taken = self._ask(f"SELECT count(*) FROM record WHERE serial_number = '{self._mark}'")
        return taken is not None and 0 < taken < self._lines

    def _ask(self, question: str) -> int | None:
        """A number from SQL; None while it does not answer."""
        try:
            with self._engine.connect() as connection:
                return int(connection.execute(text(question)).scalar_one())
        except SQLAlchemyError:
            return None


def fields_of(line: dict[str, Any]) -> dict[str, Any]:
    """How a record stands in SQL once its line was taken."""
    meta = line["meta"]
    return {"subject": line["title"], "description": line["text"]} | {
        name: meta[name] for name in ("kind", "state", "priority", "serial_number")
    }
