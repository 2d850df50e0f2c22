"""Which faults there were and from when to when: what an answer may look like depends on the weather of its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto


class Effect(Enum):
    """What people may notice of a fault while it lasts.  Whatever a fault does not list is a violation."""

    WEB_AWAY = auto()
    """Connections are refused, reset or hang: the process that would answer is killed or stopped."""
    DATABASE_AWAY = auto()
    """Writes and pages are answered 503, with a sentence."""
    SEARCH_LIMITED = auto()
    """Searches may say that they are degraded."""
    NODE_AWAY = auto()
    """One of three nodes is killed: searches are answered as ever."""
    SEARCH_DOWN = auto()
    """Searches must say that they are degraded: there is no engine that could answer."""


@dataclass(slots=True)
class Spell:
    """One fault's time."""

    name: str
    effects: frozenset[Effect]
    began: float
    ended: float = field(default=float("inf"))


class Weather:
    """All spells of a run.  Safe for threads."""

    def __init__(self) -> None:
        self._spells: list[Spell] = []
        self._lock = threading.Lock()

    @contextmanager
    def spell(self, name: str, *effects: Effect) -> Iterator[Spell]:
        """Let a fault's effects be allowed, from before it happens until what it hit has recovered."""
        spell = Spell(name, frozenset(effects), time.monotonic())
        with self._lock:
            self._spells.append(spell)
        try:
            yield spell
        finally:
            spell.ended = time.monotonic()

    def allows(self, effect: Effect, began: float, ended: float) -> bool:
        """Whether a fault with this effect overlapped the time of a request."""
        with self._lock:
            return any(s.began <= ended and began <= s.ended for s in self._spells if effect in s.effects)

    def demands(self, effect: Effect, began: float, ended: float) -> bool:
        """Whether a fault with this effect lasted for the whole time of a request."""
        with self._lock:
            return any(s.began <= began and ended <= s.ended for s in self._spells if effect in s.effects)
