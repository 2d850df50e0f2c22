"""The queue wakes the worker and is never needed: a nudge fails no save and holds none up."""

import os
import stat
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from portal import outbox, queue
from portal.extensions import db
from tests.indexer.conftest import save_article


class FakeQueue:
    """Stands at the network's edge: keeps the mark and counts the jobs."""

    def __init__(self):
        self.connection = self
        self.marked = False
        self.jobs = []

    def set(self, _key, _value, *, nx, px):
        was, self.marked = self.marked, True
        assert nx
        assert px > 0
        return not was

    def enqueue(self, job, **options):
        self.jobs.append((job, options))


@pytest.fixture
def nudge(settings):
    made = queue.Nudge(settings)
    made._queue = FakeQueue()
    return made


def test_many_saves_make_one_waiting_job(nudge):
    for _ in range(50):
        nudge()
    assert [job for job, _ in nudge._queue.jobs] == ["indexer.jobs.drain"]
    nudge._queue.marked = False
    nudge()
    assert len(nudge._queue.jobs) == 2


def test_a_job_carries_no_data_and_leaves_nothing_behind(nudge):
    nudge()
    [(_, options)] = nudge._queue.jobs
    assert set(options) == {"result_ttl", "failure_ttl", "ttl", "job_timeout", "description"}
    assert options["result_ttl"] == 0


def test_a_save_succeeds_without_the_queue_and_is_not_held_up(app):
    save_article("saved anyway")
    began = time.perf_counter()
    for _ in range(20):
        outbox.nudge()
    assert time.perf_counter() - began < 2
    assert outbox.pending_count() == 1
    db.session.rollback()


def test_after_a_failure_the_queue_is_left_alone_for_a_while(settings, caplog):
    nudge = queue.Nudge(replace(settings, queue_url="redis://127.0.0.1:1/0"))
    for _ in range(10):
        nudge()
    assert len([r for r in caplog.records if "could not be reached" in r.message]) == 1


@pytest.fixture
def short_folder():
    """A folder for temporary files with a short name; pytest's own are too deep for a socket."""
    with tempfile.TemporaryDirectory(prefix="q") as folder:
        yield folder


def test_a_folder_too_deep_for_a_socket_gets_a_private_one(settings, short_folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", short_folder)
    deep = replace(settings, data_dir=Path("/" + "x" * 120))
    path = queue.socket_path(deep)
    assert len(os.fsencode(path)) < 108
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert queue.socket_path(deep) == path
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError):
        queue.socket_path(deep)


def test_the_queue_says_whether_it_answers(app):
    assert queue.is_up() is False
