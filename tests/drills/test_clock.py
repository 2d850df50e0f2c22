"""Clocks that jump an hour: nothing is lost, nothing waits for the hour to pass, and sessions stay as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.drills.apart import PATIENCE_S, Apart, judged, staged, wait_until_all_is_found
from tests.drills.judge import SessionWatch
from tests.drills.readers import Reader
from tests.drills.weather import Weather
from tests.drills.writers import Records, Stage, Writer
from tests.installation import wait_for

HOUR_S = 3600.0
pytestmark = pytest.mark.drill


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    place = Apart(tmp_path)
    place.start()
    yield place
    place.stop()


def wait_until_caught_up(place: Apart, stage: Stage) -> None:
    """Return when ten further writes were acknowledged, and all that was pending then is in the index."""
    done = stage.ledger.acknowledged
    wait_for(lambda: stage.ledger.acknowledged >= done + 10, timeout_s=PATIENCE_S)
    with closing(sqlite3.connect(place.data_dir / "casebook.sqlite3", timeout=60)) as connection:
        asked = "SELECT kind, object_id, version FROM outbox WHERE version > indexed_version"
        waiting = connection.execute(asked).fetchall()
    behind = "SELECT count(*) FROM outbox WHERE kind = ? AND object_id = ? AND indexed_version < ?"

    def is_caught_up() -> bool:
        with closing(sqlite3.connect(place.data_dir / "casebook.sqlite3", timeout=60)) as connection:
            return not any(connection.execute(behind, row).fetchone()[0] for row in waiting)

    wait_for(is_caught_up, timeout_s=PATIENCE_S)


def test_clocks_that_jump_lose_nothing_and_stall_nothing(apart: Apart) -> None:
    stage, slug = staged(apart, Weather())
    worker = apart.work()
    wait_until_all_is_found(apart)
    watch = SessionWatch(apart.ports)
    people: list[Writer | Reader] = [
        Records(stage, "rec0"),
        Records(stage, "rec1"),
        Reader(stage, "reader", is_staff=False, steady_slug=slug),
    ]
    for person in people:
        person.start()
    for name in ("worker", "web"):
        for off_s in (HOUR_S, -HOUR_S, 0.0):
            apart.set_clock(name, off_s)
            wait_until_caught_up(apart, stage)
    # It dies by a clock that is ahead: what it held must not stay held until the hour has passed.
    apart.set_clock("worker", HOUR_S)
    wait_until_caught_up(apart, stage)
    worker.kill()
    apart.set_clock("worker", 0.0)
    worker = apart.work()
    wait_until_caught_up(apart, stage)
    watch.end_some()
    figures = judged(apart, stage, people, watch)
    worker.stop(timeout_s=60)
    print(f"\n8 jumps: {stage.ledger.acknowledged} writes; {figures}")
    assert stage.ledger.violations == []
    assert figures["lost"] == figures["doubled"] == figures["differences"] == 0
