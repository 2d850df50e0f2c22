"""People who read: each answer is checked against what does not change while the drill goes on.

The steady articles are never touched, so every search for their word has one right total for each kind of reader,
ranked or degraded; anything else, and above all an empty list, is a violation.
"""

from __future__ import annotations

import http
import random
import threading
import time
from collections.abc import Callable

from tests.drills.caller import Caller, NoAnswer, told
from tests.drills.weather import Effect
from tests.drills.writers import Stage
from tests.installation import Answer

STEADY_WORD = "lighthouse"
STEADY_PUBLIC, STEADY_INTERNAL = 12, 3
PAUSE_S = 0.15


class Reader(threading.Thread):
    """Reads until told to stop: as anybody, or as staff with the stage's token."""

    def __init__(self, stage: Stage, name: str, *, is_staff: bool, steady_slug: str) -> None:
        super().__init__(name=name, daemon=True)
        self._stage = stage
        self._is_staff = is_staff
        self._slug = steady_slug
        self._random = random.Random(f"{stage.seed}/{name}")
        self._caller = Caller(stage.ports, token=stage.token if is_staff else "")
        self._over = threading.Event()
        self.searches = 0

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        # Searching is what most people do.
        ways: list[Callable[[], None]] = [self._search] * 4 + [self._search_page, self._article, self._suggest]
        try:
            while not self._over.wait(PAUSE_S):
                self._random.choice(ways)()
        except Exception as error:
            self._stage.ledger.violate(f"the reader {self.name} failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._caller.close()

    def _search(self) -> None:
        answer, began = self._get(f"/api/v1/search?q={STEADY_WORD}&kind=faq")
        if answer is None:
            return
        self.searches += 1
        found, ended = answer.json, time.monotonic()
        is_degraded = found["degraded"]
        self._stage.ledger.note_read(is_degraded=is_degraded)
        wanted = STEADY_PUBLIC + (STEADY_INTERNAL if self._is_staff else 0)
        if found["total"] != wanted:
            self._stage.ledger.note_failed_search()
            self._violate(f"a search found {found['total']} of {wanted} (degraded: {is_degraded})")
        weather = self._stage.weather
        if is_degraded and not weather.allows(Effect.SEARCH_LIMITED, began, ended):
            # Said openly, it is no violation: an engine on a busy machine may be slower than its readers' patience.
            is_node_away = weather.allows(Effect.NODE_AWAY, began, ended)
            self._stage.ledger.note_degraded_without_fault(is_node_away=is_node_away)
        if not is_degraded and weather.demands(Effect.SEARCH_DOWN, began, ended):
            self._violate("a search without an engine did not say that it was degraded")

    def _search_page(self) -> None:
        answer, _ = self._get(f"/search?q={STEADY_WORD}")
        if answer is not None:
            self._stage.ledger.note_read()
            if answer.body.lower().count(STEADY_WORD.encode()) < 3:
                self._stage.ledger.note_failed_search()
                self._violate("the search page shows no hits")

    def _article(self) -> None:
        answer, _ = self._get(f"/articles/{self._slug}")
        if answer is not None:
            self._stage.ledger.note_read()

    def _suggest(self) -> None:
        answer, _ = self._get(f"/api/v1/suggest?q={STEADY_WORD[:5]}")
        if answer is not None:
            found = answer.json
            self._stage.ledger.note_read(is_degraded=found["degraded"])
            if not found["degraded"] and not found["suggestions"]:
                self._violate("nothing was suggested")

    def _get(self, path: str) -> tuple[Answer | None, float]:
        """An answer that is 200, or None where the weather excuses that there is none."""
        began = time.monotonic()
        weather = self._stage.weather
        try:
            answer = self._caller.ask("GET", path)
        except NoAnswer as error:
            if not weather.allows(Effect.WEB_AWAY, began, time.monotonic()):
                self._violate(f"no answer without a fault: {error}")
            time.sleep(0.2)
            return None, began
        if answer.status == http.HTTPStatus.OK:
            return answer, began
        is_excused = answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and weather.allows(
            Effect.DATABASE_AWAY, began, time.monotonic()
        )
        if not is_excused:
            if "search" in path:
                self._stage.ledger.note_failed_search()
            self._violate(f"GET {path}: {told(answer)}")
        return None, began

    def _violate(self, sentence: str) -> None:
        who = "staff" if self._is_staff else "anybody"
        self._stage.ledger.violate(f"{sentence} (as {who})")
