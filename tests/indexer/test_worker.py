"""The worker's rounds: whatever people do, everything it has to do gets its turn."""

import itertools

import pytest
from flask import Flask
from sqlalchemy import select

from indexer import rebuild, sync
from indexer.sync import Ended
from indexer.worker import Worker
from portal.extensions import db
from portal.search import indices
from portal.search.models import IndexBuild
from tests.indexer.conftest import HOLDER, save_article, save_articles


@pytest.fixture
def busy_people(engine):
    """Whenever something was written, somebody has saved something else: there is never nothing due."""
    numbers = itertools.count()
    is_saving = []

    def save_more(step):
        if step == "commit" and not is_saving:
            is_saving.append(True)
            number = next(numbers)
            save_article(f"unceasing {number}", slug=f"unceasing-{number}")
            is_saving.clear()

    save_articles(6)
    engine.before = save_more
    yield
    engine.before = lambda _: None


@pytest.mark.usefixtures("busy_people")
def test_a_drain_comes_back_when_its_time_is_over(engine):
    report = sync.drain(engine, HOLDER, for_s=0)
    assert (report.ended, report.batches) == (Ended.STOPPED, 1)


@pytest.mark.thorough
@pytest.mark.usefixtures("busy_people")
def test_a_rebuild_goes_on_while_people_save_without_a_pause(app: Flask, engine, settings, monkeypatch):
    monkeypatch.setattr("indexer.worker.DRAIN_S", 0.0)
    monkeypatch.setattr(rebuild, "LOADED_ROWS", 4)
    wanted = indices.request_build(engine=engine.name, prefix="test").name
    worker = Worker(settings, engine, application=app.app_context)
    rounds = 0
    while worker._go_once() and rounds < 200 and engine.live != wanted:
        rounds += 1
    assert engine.live == wanted, db.session.execute(select(IndexBuild.name, IndexBuild.state)).all()


def test_the_engine_rests_in_a_pause_alone(app: Flask, engine, settings, monkeypatch):
    steps = []
    monkeypatch.setattr(engine, "before", steps.append)
    monkeypatch.setattr("indexer.worker.DRAIN_S", 0.0)
    save_articles(6)
    worker = Worker(settings, engine, application=app.app_context)
    while worker._go_once():
        assert "rest" not in steps
    assert steps.count("commit") >= 1
    assert steps[-1] == "rest"
