"""`casebook init` on an engine that holds nothing yet: a small index is made at once, a large one is the worker's."""

import pytest

from indexer import sync
from portal.commands import run
from portal.search.indices import build_under_way
from tests.indexer.conftest import build_index, save_articles
from tests.indexer.memory_engine import MemoryEngine


@pytest.fixture
def another(app, engine, settings, monkeypatch):
    """A portal with six articles that moves to another engine."""
    save_articles(6)
    sync.drain(engine, "worker")
    other = MemoryEngine()
    monkeypatch.setattr(run, "make_engine", lambda *_, **__: other)
    monkeypatch.setattr(run, "upgrade", lambda: None)
    monkeypatch.setattr(run, "MOST_AT_START", 5)
    return other


def test_a_large_index_is_left_to_the_worker(another, settings):
    run.prepare(settings)
    assert another.live_index() is None
    assert build_under_way().state == "requested"
    build_index(another, holder="worker")
    assert len(another.documents()) == 6


def test_asking_again_before_the_worker_came_changes_nothing(another, settings):
    run.prepare(settings)
    name = build_under_way().name
    run.prepare(settings)
    assert (build_under_way().name, build_under_way().state) == (name, "requested")
    assert another.live_index() is None


@pytest.mark.thorough
def test_a_small_index_is_made_at_once(another, settings, monkeypatch):
    monkeypatch.setattr(run, "MOST_AT_START", 6)
    run.prepare(settings)
    assert len(another.documents()) == 6
    assert build_under_way() is None
