"""The index page: what it tells, what its buttons ask for, and whom it is for."""

import pytest
from sqlalchemy import select

from portal import outbox
from portal.audit import AuditEntry
from portal.extensions import db, now
from portal.outbox import OutboxRow
from portal.search.models import Heartbeat, IndexBuild, IndexCheck

ADDRESSES = [
    ("GET", "/admin/index"),
    ("GET", "/admin/index/state"),
    ("POST", "/admin/index/builds"),
    ("POST", "/admin/index/checks"),
    ("POST", "/admin/index/repairs"),
    ("POST", "/admin/index/retries"),
    ("POST", "/admin/index/builds/1/removal"),
]


@pytest.fixture
def fred(people, client_for):
    return client_for(people.fred)


@pytest.fixture
def worker(app):
    db.session.add(Heartbeat(worker="machine-7", at=now(), started_at=now()))
    db.session.commit()


def set_aside(object_id):
    outbox.record_above([("article", object_id, 0)])
    row = db.session.get_one(OutboxRow, ("article", object_id))
    row.last_error, row.attempts, row.not_before = "it is poisonous", 3, now()
    db.session.commit()


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_only_admins_get_there(people, client_for, method, path):
    assert client_for(people.ann).open(path, method=method).status_code == 303
    for person in (people.alice, people.carol, people.dora, people.erin):
        assert client_for(person).open(path, method=method).status_code == 403
    assert db.session.scalars(select(IndexBuild)).all() == []


def test_without_index_and_worker_it_says_so(fred):
    page = fred.get("/admin/index").text
    assert "No worker is running" in page
    assert "casebook worker" in page


def test_it_names_what_was_set_aside_and_lets_it_be_tried_again(fred, worker):
    set_aside(41)
    page = fred.get("/admin/index").text
    assert "article:41" in page
    assert "it is poisonous" in page
    answer = fred.post("/admin/index/retries", follow_redirects=True).text
    assert "1 document is tried again" in answer
    assert outbox.statistics().set_aside == 0


def test_a_rebuild_is_asked_for_once_shown_with_its_progress_and_noted(fred, worker):
    assert fred.post("/admin/index/builds").status_code == 303
    build = db.session.scalars(select(IndexBuild)).one()
    assert build.state == "requested"
    build.state, build.done, build.total = "loading", 3000, 12000
    db.session.commit()
    page = fred.get("/admin/index").text
    assert build.name in page
    assert "3,000 of 12,000" in page
    assert 'hx-trigger="every 2s"' in page
    assert "under way already" in fred.post("/admin/index/builds", follow_redirects=True).text
    assert db.session.scalars(select(AuditEntry.action)).all() == ["index.rebuild"]


def test_comparison_and_repair_are_asked_for_and_shown(fred, worker):
    fred.post("/admin/index/checks")
    fred.post("/admin/index/checks")
    fred.post("/admin/index/repairs")
    checks = db.session.scalars(select(IndexCheck).order_by(IndexCheck.id)).all()
    assert [check.is_repair for check in checks] == [False, True]
    checks[0].state, checks[0].checked, checks[0].missing = "done", 4321, 17
    db.session.commit()
    page = fred.get("/admin/index/state").text
    assert "4,321" in page
    assert ">17<" in page
    assert "<html" not in page


def test_only_a_kept_index_can_be_removed(fred, worker):
    builds = [IndexBuild(name=state, engine="embedded", state=state) for state in ("live", "previous")]
    db.session.add_all(builds)
    db.session.commit()
    live, previous = (build.id for build in builds)
    assert fred.post(f"/admin/index/builds/{live}/removal").status_code == 404
    assert fred.post("/admin/index/builds/99/removal").status_code == 404
    assert fred.post(f"/admin/index/builds/{previous}/removal").status_code == 303
    assert db.session.get_one(IndexBuild, previous).state == "dropping"


def test_without_the_token_nothing_is_asked_for(fred):
    fred.csrf = False
    assert fred.post("/admin/index/builds").status_code == 400
    assert db.session.scalars(select(IndexBuild)).all() == []


def test_a_quiet_index_is_not_asked_for_again_and_again(fred, worker):
    outbox_is_empty = outbox.pending_count() == 0
    if not outbox_is_empty:
        db.session.query(OutboxRow).delete()
        db.session.commit()
    assert "hx-trigger" not in fred.get("/admin/index").text


def test_in_chinese(fred, worker):
    assert fred.get("/admin/index?lang=zh", follow_redirects=True).status_code == 200
