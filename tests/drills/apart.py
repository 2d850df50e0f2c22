"""Web and worker each started by itself, without `casebook up`, so that a test decides who lives and by which clock."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from opensearch.node.child import Child
from portal.app import ROOT
from tests.drills.caller import Caller
from tests.drills.clock import set_clock
from tests.drills.drill import make_accounts, make_steady_articles
from tests.drills.judge import Judge, SessionWatch
from tests.drills.ledger import Ledger, Thing
from tests.drills.places import Embedded
from tests.drills.readers import STEADY_PUBLIC, STEADY_WORD, Reader
from tests.drills.weather import Weather
from tests.drills.writers import Stage, Writer
from tests.installation import PASSWORD, wait_for

PATIENCE_S = 600.0


class Apart(Embedded):
    """One machine; nobody takes the place of a process that died."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.offsets = {name: folder / f"{name}.clock" for name in ("web", "worker")}
        for name in self.offsets:
            self.set_clock(name, 0)

    def start(self) -> None:
        self.portal.set(web_workers=1)
        self.portal.run("init")
        self.web = self._launch("web", "-m", "tests.drills.clock", str(self.offsets["web"]), "web")
        self.web.wait_until("casebook web", self.portal.is_ready, PATIENCE_S)

    def stop(self) -> None:
        self.web.stop(timeout_s=40)

    def work(self, place: str = "") -> Child:
        """Start a worker; one with a place dies there."""
        if place:
            return self._launch("worker", "-m", "tests.drills.killed_worker", place)
        return self._launch("worker", "-m", "tests.drills.clock", str(self.offsets["worker"]), "worker")

    def _launch(self, name: str, *arguments: str) -> Child:
        settings = [f"{key}={value}" for key, value in self.portal.settings.items()]
        command = ["env", *settings, sys.executable, *arguments]
        return Child(command, log=self.folder / f"{name}.log", cwd=ROOT)

    def set_clock(self, name: str, off_s: float) -> None:
        """Let the clock of the web process or of the worker jump."""
        set_clock(self.offsets[name], off_s)


def staged(place: Embedded, weather: Weather) -> tuple[Stage, str]:
    """What writers share, and the address of an article that nobody changes."""
    token = make_accounts(place)
    caller = Caller(place.ports, token=token)
    slug = make_steady_articles(caller)
    thing = Thing("customer", "base0n", fields={"name": "base0n Ltd"})
    made = caller.ask("POST", "/api/v1/customers", {"kind": "company", **thing.fields})
    thing.id = made.json["id"]
    caller.close()
    email = "ada@example.com"
    return Stage(place.ports, token, email, PASSWORD, Ledger(), weather, 20, customers=(thing,)), slug


def wait_until_all_is_found(place: Embedded) -> None:
    """Wait until the index holds what readers look for."""

    def is_found() -> bool:
        status, found = place.ask(place.ports[0], f"/api/v1/search?q={STEADY_WORD}")
        return status == 200 and found["total"] == STEADY_PUBLIC and not found["degraded"]

    wait_for(is_found, timeout_s=PATIENCE_S)


def dismiss(people: Sequence[Writer | Reader]) -> None:
    """Let everybody finish what is in hand."""
    for person in people:
        person.stop(PATIENCE_S) if isinstance(person, Writer) else person.stop()
    for person in people:
        person.join()


def judged(
    place: Embedded, stage: Stage, people: Sequence[Writer | Reader], watch: SessionWatch | None = None
) -> dict[str, object]:
    """Dismiss everybody and judge what is left."""
    dismiss(people)
    return Judge(place, stage.ledger, stage, watch or SessionWatch(place.ports)).judge(PATIENCE_S)
