"""Rebuilds under writes and readers, each killed at another named place; and a rolling restart under load."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portal.app import create_app
from portal.extensions import db
from portal.search import indices
from portal.search.current import make_engine
from portal.settings import Settings
from tests.drills.apart import PATIENCE_S, Apart, judged, staged, wait_until_all_is_found
from tests.drills.killed_worker import PLACES
from tests.drills.places import Embedded
from tests.drills.readers import Reader
from tests.drills.weather import Effect, Weather
from tests.drills.writers import Records, Stage, Writer
from tests.installation import wait_for

pytestmark = pytest.mark.drill


@pytest.fixture
def weather() -> Weather:
    return Weather()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    place = Apart(tmp_path)
    place.start()
    yield place
    place.stop()


def build_states(place: Embedded) -> dict[str, str]:
    with closing(sqlite3.connect(place.data_dir / "casebook.sqlite3")) as connection:
        return dict(connection.execute("SELECT name, state FROM index_build"))


def is_over(place: Embedded) -> bool:
    under_way = {"requested", "loading", "draining", "verifying", "dropping"}
    return not under_way & set(build_states(place).values())


def test_a_rebuild_survives_a_death_at_each_of_its_places(apart: Apart, weather: Weather) -> None:
    stage, slug = staged(apart, weather)
    worker = apart.work()
    # Three indices, so that each of the following rebuilds has one to drop.
    settings = Settings.from_environ(apart.portal.settings)
    app = create_app(settings)

    def ask_for_a_rebuild() -> None:
        with app.app_context():
            indices.request_build(engine="embedded", prefix=settings.search_prefix)
            db.session.remove()
            db.engine.dispose()

    wait_until_all_is_found(apart)
    ask_for_a_rebuild()
    wait_for(lambda: is_over(apart), timeout_s=PATIENCE_S)
    apart.wait_for_search("lighthouse")
    worker.stop(timeout_s=60)
    reader = Reader(stage, "reader", is_staff=False, steady_slug=slug)
    people: list[Writer | Reader] = [Records(stage, "rec0"), reader]
    for person in people:
        person.start()
    died_at = []
    for place in PLACES:
        if is_over(apart):
            ask_for_a_rebuild()
        dying = apart.work(place)
        wait_for(lambda dying=dying: not dying.is_running, timeout_s=PATIENCE_S)  # type: ignore[misc]
        assert dying.returncode == -signal.SIGKILL, f"{place}: {dying.log_end()}"
        died_at.append(place)
    worker = apart.work()
    wait_for(lambda: is_over(apart), timeout_s=PATIENCE_S)
    figures = judged(apart, stage, people)
    worker.stop(timeout_s=60)
    states = build_states(apart)
    engine = make_engine(settings)
    kept = {index.name for index in engine.list_indices()}
    engine.close()
    print(f"\n{len(died_at)} deaths; {stage.ledger.acknowledged} writes, {reader.searches} searches; {figures}")
    assert died_at == list(PLACES)
    assert stage.ledger.violations == []
    assert stage.ledger.degraded == 0, "searches read the old index until the new one is whole"
    assert kept == {name for name, state in states.items() if state in ("live", "previous")}
    assert sorted(state for state in states.values() if state != "dropped") == ["live", "previous"]
    assert reader.searches > 0


def test_a_rolling_restart_under_load_fails_no_request(tmp_path: Path, weather: Weather) -> None:
    place = Embedded(tmp_path)
    place.start()
    try:
        stage, slug = staged(place, weather)
        wait_until_all_is_found(place)
        people: list[Writer | Reader] = [
            Records(stage, "rec0"),
            Records(stage, "rec1"),
            Reader(stage, "reader", is_staff=False, steady_slug=slug),
        ]
        for person in people:
            person.start()
        for _ in range(2):
            for name in ("web", "worker"):
                roll(place, stage, name)
        # The one process that is killed takes its own requests along; they are repeated to exactly one object.
        with weather.spell("kill web-fork", Effect.WEB_AWAY):
            place.kill("web-fork")
            place.wait_for_web()
        figures = judged(place, stage, people)
    finally:
        place.stop()
    print(f"\n4 restarts: {stage.ledger.acknowledged} writes, {stage.ledger.unanswered} unanswered; {figures}")
    assert stage.ledger.violations == []
    assert figures["doubled"] == figures["lost"] == 0


def roll(place: Embedded, stage: Stage, name: str) -> None:
    """Let a process end in order while people work; return when its successor and the writers are at it again."""
    before, done = place.wait_for_pids(name)[0], stage.ledger.acknowledged
    place.restart(name)
    wait_for(lambda: place.pids(name)[:1] not in ([], [before]), timeout_s=PATIENCE_S)
    wait_for(lambda: stage.ledger.acknowledged > done + 20, timeout_s=PATIENCE_S)
