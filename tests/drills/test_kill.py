"""Processes are killed while an import runs and people save: nothing acknowledged is lost, the index ends equal to SQL.

One round by default; `make drill` sets DRILL_ROUNDS for a long run.
"""

from __future__ import annotations

import http
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from opensearch.node.server import Node
from tests.benchmarks.texts import Texts, write
from tests.installation import Installation

ROUNDS = int(os.environ.get("DRILL_ROUNDS", "1"))
RECORDS = 1_000
CONVERGED_S = 60.0
SEED = 20


class Writer(threading.Thread):
    """Somebody who publishes one article after the other and remembers which were acknowledged."""

    def __init__(self, place: Installation, token: str) -> None:
        super().__init__(name="writer", daemon=True)
        self._client = place.client(token)
        self._is_stopped = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.refused = 0
        self.slowest_s = 0.0

    def run(self) -> None:
        number = 0
        while not self._is_stopped.wait(0.05):
            number += 1
            title = f"Saved while processes die, number {number}"
            article = {"kind": "faq", "title": title, "body": "It is there.", "state": "published"}
            try:
                answer = self._client.ask("POST", "/api/v1/articles", article)
            except (OSError, http.client.HTTPException):
                self.refused += 1
                time.sleep(0.1)
                continue
            self.slowest_s = max(self.slowest_s, answer.ms / 1000)
            if answer.status == http.HTTPStatus.CREATED:
                self.acknowledged[int(answer.json["id"])] = title
            else:
                self.refused += 1

    def stop(self) -> None:
        self._is_stopped.set()
        self.join(timeout=60)
        self._client.close()


def kill(place: Installation, name: str) -> None:
    """Kill a process and those that it forked, at once; `up` starts it again."""
    pids = place.pids(name)
    assert pids, f"{name} is not running"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def drill(place: Installation, faults: dict[str, Callable[[], None]]) -> None:
    """Import and save while the faults happen in a random order; then compare."""
    place.run("init")
    token = place.add_user("Erin", "editor")
    place.start()
    writer = Writer(place, token)
    writer.start()
    order = random.Random(SEED)
    try:
        for number in range(ROUNDS):
            lines = Texts(seed=SEED + number).records(RECORDS, start=number * RECORDS)
            file = write(place.folder / f"records-{number}.jsonl", lines)
            importing = place.launch(
                "import", "records", str(file), "--source", "drill", log=place.folder / "import.log"
            )
            for name in order.sample(sorted(faults), k=len(faults)):
                time.sleep(order.uniform(1.0, 3.0))
                faults[name]()
            deadline = time.monotonic() + 300
            while importing.is_running and time.monotonic() < deadline:
                time.sleep(0.1)
            assert importing.returncode == 0, importing.log_end()
    finally:
        writer.stop()
    last_fault = time.monotonic()
    found = place.report("index", "verify", codes=(0, 1))
    left = found
    while sum(left[name] for name in ("missing", "stale", "orphaned", "pending")):
        assert time.monotonic() < last_fault + CONVERGED_S, f"still differs after {CONVERGED_S:.0f} s: {left}"
        left = place.report("index", "verify", codes=(0, 1))
    took = time.monotonic() - last_fault
    held = titles(place)
    lost = {number for number, title in writer.acknowledged.items() if held.get(number) != title}
    print(
        f"\n{len(writer.acknowledged)} saves acknowledged (the slowest after {writer.slowest_s:.1f} s), "
        f"{writer.refused} not, {len(lost)} lost; "
        f"{ROUNDS * len(faults)} faults; differences found: {told(found)}; "
        f"left after {took:.0f} s: {told(left)}; {left['checked']} compared"
    )
    assert lost == set()
    assert told_by_up(place) == {"web": ROUNDS, "worker": ROUNDS}
    assert len(writer.acknowledged) > 0
    assert count(place, "record") == ROUNDS * RECORDS


def told_by_up(place: Installation) -> dict[str, int]:
    """How often `up` said that a process had ended unexpectedly: the faults that did happen."""
    said = place.up.log.read_text()
    return {name: said.count(f"{name} ended unexpectedly (") for name in ("web", "worker")}


def told(found: dict[str, Any]) -> str:
    names = ("missing", "stale", "orphaned")
    return ", ".join(f"{found[name]} {name}" for name in names) + f" ({found['pending']} on their way)"


def titles(place: Installation) -> dict[int, str]:
    """What SQL holds, read past the product."""
    engine = create_engine(database_of(place))
    with engine.connect() as connection:
        rows: dict[int, str] = {row.id: row.title for row in connection.execute(text("SELECT id, title FROM article"))}
    engine.dispose()
    return rows


def count(place: Installation, table: str) -> int:
    engine = create_engine(database_of(place))
    with engine.connect() as connection:
        number = int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
    engine.dispose()
    return number


def database_of(place: Installation) -> str:
    default = f"sqlite:///{place.folder / 'data' / 'casebook.sqlite3'}"
    return place.settings.get("CASEBOOK_DATABASE_URL", default)


@pytest.fixture
def on_one_machine(tmp_path: Path) -> Iterator[Installation]:
    place = Installation(tmp_path, web_workers=1)
    yield place
    place.stop()


@pytest.fixture
def on_servers(
    tmp_path: Path, postgres_url: str, redis_url: str, opensearch_url: str, search_prefix: str
) -> Iterator[Installation]:
    place = Installation(
        tmp_path,
        web_workers=1,
        database_url=postgres_url,
        queue_url=redis_url,
        search_url=opensearch_url,
        search_prefix=search_prefix,
    )
    yield place
    place.stop()


@pytest.mark.drill
def test_nothing_is_lost_on_one_machine(on_one_machine: Installation) -> None:
    place = on_one_machine
    drill(place, {name: lambda name=name: kill(place, name) for name in ("web", "worker")})  # type: ignore[misc]


@pytest.mark.drill
def test_nothing_is_lost_with_servers(on_servers: Installation, opensearch_node: Node) -> None:
    place = on_servers

    def kill_opensearch() -> None:
        opensearch_node.kill()
        time.sleep(1)
        opensearch_node.start()

    faults: dict[str, Callable[[], None]] = {
        name: lambda name=name: kill(place, name)  # type: ignore[misc]
        for name in ("web", "worker")
    }
    drill(place, faults | {"opensearch": kill_opensearch})
