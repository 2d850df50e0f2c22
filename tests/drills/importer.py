"""Imports that run whenever something is killed: each takes a file of its own, and is taken up again if it stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from opensearch.node.child import Child
from tests.benchmarks.texts import Texts, write
from tests.drills.places import RECOVERY_S, Place
from tests.installation import wait_for


class Importer:
    """Runs `casebook import records` on one file after the other."""

    def __init__(self, place: Place, *, seed: int, lines: int) -> None:
        self._place = place
        self._texts = Texts(seed=seed)
        self._lines = lines
        self._engine = create_engine(place.database_url, poolclass=NullPool)
        self._running: Child | None = None
        self._file = place.folder / "none"
        self.files = 0
        self.taken_up_again = 0
        self.refused: list[str] = []

    @property
    def is_importing(self) -> bool:
        return self._running is not None and self._running.is_running

    @property
    def wanted(self) -> int:
        """So many records are in SQL when all imports have ended."""
        return self.files * self._lines

    def wait_until_importing(self) -> None:
        """Return while an import is in its middle: its first batch stands in SQL, its last does not."""
        while not (self.is_importing and 0 < self.count(self.files) < self._lines):
            if not self.is_importing:
                self.finish()
                self._begin()
            time.sleep(0.05)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop the import in its middle for a moment, unless it holds SQLite's lock, which others wait for."""
        running = self._running
        if running is None or not running.is_running:
            yield
            return
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGCONT)

    def finish(self) -> None:
        """Wait for the import under way; one that lost its database is taken up again."""
        while self._running is not None:
            running = self._running
            wait_for(lambda running=running: not running.is_running, timeout_s=RECOVERY_S)  # type: ignore[misc]
            code = running.returncode
            if code == 0:
                self._running = None
            else:
                self.taken_up_again += 1
                if self.taken_up_again > 50 + self.files:
                    self.refused.append(running.log_end())
                    self._running = None
                    return
                time.sleep(0.5)
                self._launch()

    def _begin(self) -> None:
        self.files += 1
        lines = self._texts.records(self._lines, start=self.files * 1_000_000)
        self._file = write(self._place.folder / f"import-{self.files}.jsonl", lines)
        self._launch()

    def _launch(self) -> None:
        log: Path = self._place.folder / "import.log"
        arguments = ("import", "records", str(self._file), "--source", "drill")
        self._running = self._place.portal.launch(*arguments, log=log)
        # People who wait for an answer come first.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._running.pid, 10)

    def count(self, file: int | None = None) -> int:
        """How many imported records SQL holds, of all files or of one; 0 while it does not answer."""
        some = "" if file is None else f" AND external_id LIKE 'r{file}______'"
        try:
            with self._engine.connect() as connection:
                query = text(f"SELECT count(*) FROM record WHERE source = 'drill'{some}")
                return int(connection.execute(query).scalar_one())
        except SQLAlchemyError:
            return 0
