"""The faults: what can happen to each setup, in which order a seed lets it happen, and how each is done and healed.

A fault is over when what it hit serves again; only then its effects cease to be allowed.  While something is killed an
import runs, and goes on.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

from tests.drills.importer import Importer
from tests.drills.places import Embedded, Place, Production
from tests.drills.readers import STEADY_WORD
from tests.drills.weather import Effect, Weather
from tests.drills.wire import Mode

SHORT_S = (0.5, 1.0, 1.0, 2.0, 3.0)
LONG_S = (5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 6.0, 8.0, 12.0, 20.0)
LONGEST_S = 90.0
"""Longer than any lease and than an idempotency key is kept for a request that may still be done."""
EFFECTS = {
    "up": (Effect.WEB_AWAY,),
    "web": (Effect.WEB_AWAY,),
    "web-fork": (Effect.WEB_AWAY,),
    "web1": (Effect.WEB_AWAY,),
    "web2": (Effect.WEB_AWAY,),
    "database": (Effect.DATABASE_AWAY,),
    "engine": (Effect.SEARCH_LIMITED,),
    "index": (Effect.SEARCH_LIMITED,),
    **dict.fromkeys(("node0", "node1", "node2"), (Effect.NODE_AWAY,)),
}
SERVERS = ("database", "queue", "engine", "node0", "node1", "node2")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.  `target` is a process, or for a wire what it does; `seconds` how long it lasts."""

    kind: str
    target: str
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.target}"


CATALOGUE: dict[str, Sequence[tuple[str, str]]] = {
    "embedded": (
        ("kill", "worker"),
        ("kill", "web-fork"),
        ("stop", "worker"),
        ("kill", "queue"),
        ("lock", "database"),
        ("restart", "web"),
        ("full disk", "index"),
        ("kill", "web"),
        ("stop", "web-fork"),
        ("restart", "worker"),
        ("damage", "index"),
        ("stop", "queue"),
        ("kill", "up"),
        ("stop", "web"),
        ("restart", "queue"),
    ),
    "production": (
        *(("kill", target) for target in ("web1", "web2", "worker1", "worker2", "queue", "engine", "database")),
        *(("stop", target) for target in ("web1", "worker1", "queue", "engine", "database")),
        *(("restart", target) for target in ("web2", "worker2", "queue", "engine", "database")),
        *(("wire", mode.value) for mode in Mode if mode is not Mode.PASS),
        ("read-only", "engine"),
        ("clock", "web2"),
        ("clock", "worker1"),
    ),
    "cluster": (
        *(("kill", target) for target in ("node0", "node1", "node2", "web1", "web2", "worker1", "worker2", "queue")),
        *(("kill", target) for target in ("node0", "node1", "node2", "database")),
        *(("stop", target) for target in ("node1", "web2", "worker2", "database")),
        *(("restart", target) for target in ("node0", "node2", "worker1", "queue")),
        *(("wire", mode.value) for mode in (Mode.CUT, Mode.DEAF, Mode.DOUBLE, Mode.LATE, Mode.REFUSE)),
        ("read-only", "engine"),
        ("clock", "worker2"),
    ),
}


def plan(setup: str, seed: int, count: int, *, is_long: bool) -> list[Fault]:
    """The faults of a run: every kind that the setup knows in a random order, and again until there are enough."""
    order = random.Random(f"{seed}/faults")
    planned: list[Fault] = []
    while len(planned) < count:
        for kind, target in order.sample(CATALOGUE[setup], k=len(CATALOGUE[setup])):
            planned.append(Fault(kind, target, order.choice(LONG_S if is_long else SHORT_S)))
    if is_long:
        # Most are over soon, so that many fit into an hour.
        # At least one process of each setup hangs for longer than its leases.
        longest = next((n for n, fault in enumerate(planned[:count]) if fault.name in LONG_STOPS), None)
        if longest is not None:
            planned[longest] = Fault(planned[longest].kind, planned[longest].target, LONGEST_S)
    return planned[:count]


LOCK_PATIENCE_S = 20.0
"""Who waits for SQLite's lock for longer than thirty seconds is told so; on a busy machine some of them are used up."""
LONG_STOPS = ("stop worker", "stop worker1", "stop worker2", "stop web-fork")


class Injector:
    """Does faults to a place, one after the other."""

    def __init__(self, place: Place, weather: Weather, importer: Importer) -> None:
        self._place = place
        self._weather = weather
        self._importer = importer
        self.done: Counter[str] = Counter()
        self.kills = 0

    def do(self, fault: Fault) -> None:
        """Let a fault happen, last, and heal; return when what it hit serves again."""
        effects = EFFECTS.get(fault.target, ())
        # A node of three that is killed is missed by nobody; one that merely hangs is found out by the others after a
        # while.
        if fault.kind == "stop" and fault.target.startswith("node"):
            effects = (Effect.SEARCH_LIMITED,)
        if fault.kind in ("lock", "full disk", "read-only", "wire", "clock"):
            effects = ()
        if fault.kind == "lock" and fault.seconds > LOCK_PATIENCE_S:
            effects = (Effect.DATABASE_AWAY,)
        with self._weather.spell(fault.name, *effects):
            self._do(fault)
            if Effect.WEB_AWAY in effects or Effect.DATABASE_AWAY in effects:
                self._place.wait_for_web()
            if Effect.SEARCH_LIMITED in effects:
                self._place.wait_for_search(STEADY_WORD)
        self.done[fault.name] += 1

    def _do(self, fault: Fault) -> None:
        if fault.kind == "kill":
            self._kill(fault)
            return
        if fault.kind == "restart":
            self._restart(fault)
            return
        if fault.kind == "damage":
            cast("Embedded", self._place).damage_index()
            return
        with self._lasting(fault):
            time.sleep(fault.seconds)

    def _kill(self, fault: Fault) -> None:
        place = self._place
        # The import stands still for the moment of the kill, so that it is surely in its middle.
        with self._importer.held_in_its_middle():
            self.kills += 1
            place.kill(fault.target)
        if fault.target == "up":
            place.revive(fault.target)
        elif fault.target in SERVERS and isinstance(place, Production):
            effects = (Effect.SEARCH_DOWN,) if fault.target == "engine" else ()
            with self._weather.spell(f"{fault.target} is away", *effects):
                time.sleep(min(fault.seconds, 10.0))
            place.revive(fault.target)

    def _restart(self, fault: Fault) -> None:
        place = self._place
        if isinstance(place, Production) and fault.target in SERVERS:
            place.end(fault.target)
            place.revive(fault.target)
        else:
            place.restart(fault.target)

    def _lasting(self, fault: Fault) -> AbstractContextManager[None]:
        place = self._place
        lasting: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "stop": lambda: place.stopped(fault.target),
            "lock": lambda: cast("Embedded", place).locked_database(),
            "full disk": lambda: cast("Embedded", place).full_disk(),
            "wire": lambda: cast("Production", place).wired(Mode(fault.target)),
            "clock": lambda: cast("Production", place).wrong_clock(fault.target),
            "read-only": lambda: cast("Production", place).read_only_engine(),
        }
        return lasting[fault.kind]()
