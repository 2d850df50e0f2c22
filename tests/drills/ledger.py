"""What was acknowledged: for each object, how it must stand in SQL when all is over."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Thing:
    """One object that a writer made.  Only its own writer changes it, one write after the other.

    `marker` is a word that stands in its name and nowhere else.
    """

    kind: str
    marker: str
    id: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    entries: list[str] = field(default_factory=list)
    version: int | None = None
    is_deleted: bool = False
    is_busy: bool = False
    """A write to it is under way, or waits to be repeated."""


class Ledger:
    """Everything that was acknowledged, and everything that was not as it should be.  Safe for threads."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.writes: Counter[str] = Counter()
        self.imported = 0
        self.failed_searches = 0
        self.repeated = 0
        self.replayed = 0
        self.unanswered = 0
        self.reads = 0
        self.degraded = 0
        self.degraded_without_fault = 0
        self.degraded_without_node = 0
        self.slowest_s = 0.0
        self.slowest_import_s = 0.0
        self.violations: list[str] = []
        self._lock = threading.Lock()

    @property
    def acknowledged(self) -> int:
        return self.writes.total()

    def add(self, thing: Thing) -> Thing:
        with self._lock:
            self.things.append(thing)
        return thing

    def acknowledge(self, what: str, *, tries: int, was_replayed: bool, took_s: float) -> None:
        """Note a write that was answered 2xx, after so many tries."""
        with self._lock:
            self.writes[what] += 1
            self.repeated += tries > 1
            self.replayed += was_replayed
            self.slowest_s = max(self.slowest_s, took_s)

    def acknowledge_import(self, lines: int, *, is_new: bool, took_s: float) -> None:
        """Note the lines of a file that an import has taken to its end."""
        with self._lock:
            self.writes["import.create" if is_new else "import.change"] += lines
            self.imported += lines
            self.slowest_import_s = max(self.slowest_import_s, took_s)

    def note_failed_search(self) -> None:
        with self._lock:
            self.failed_searches += 1

    def note_unanswered(self) -> None:
        with self._lock:
            self.unanswered += 1

    def note_read(self, *, is_degraded: bool = False) -> None:
        with self._lock:
            self.reads += 1
            self.degraded += is_degraded

    def note_degraded_without_fault(self, *, is_node_away: bool) -> None:
        with self._lock:
            self.degraded_without_fault += 1
            self.degraded_without_node += is_node_away

    def violate(self, sentence: str) -> None:
        """Note something that must never happen."""
        with self._lock:
            self.violations.append(sentence)

    def all_of(self, kind: str) -> list[Thing]:
        with self._lock:
            return [thing for thing in self.things if thing.kind == kind]
