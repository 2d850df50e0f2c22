"""Several records changed at once: each in its own right; what is refused is named, what was done can be taken back."""

import html
import json
import re

import pytest
from sqlalchemy import func, select

from portal import audit, outbox
from portal.access import Forbidden
from portal.errors import Invalid
from portal.extensions import db
from portal.search.current import EXTENSION
from portal.service import bulk, reading, records
from portal.service.bulk import Chosen
from portal.service.models import Entry, Record
from tests.service.engines import QuietEngine


@pytest.fixture(autouse=True)
def engine(app):
    app.extensions[EXTENSION] = QuietEngine()


@pytest.fixture
def some(people):
    """Five records, chosen as they stand."""
    made = [records.create(by=people.alice.viewer, subject=f"No {n}") for n in range(5)]
    return [Chosen(record.number, record.version) for record in made]


def record_of(chosen):
    db.session.expire_all()
    return db.session.scalars(select(Record).where(Record.number == chosen.number)).one()


def test_each_record_is_changed_in_its_own_right(people, some):
    before = [outbox.version_of("record", record_of(one).id)[0] for one in some]
    changes = {"assignee_id": str(people.dora.user_id), "priority": "high", "state": "open", "tags": "slow, Paper"}
    report = bulk.change(some, by=people.carol.viewer, changes=changes)
    assert (len(report.done), report.unchanged, report.refused) == (5, 0, [])
    for one, version in zip(some, before, strict=True):
        record = record_of(one)
        assert (record.assignee_id, record.priority, record.state) == (people.dora.user_id, "high", "open")
        assert sorted(tag.name for tag in record.tags) == ["Paper", "slow"]
        assert outbox.version_of("record", record.id)[0] == version + 1
    noted = select(func.count(audit.AuditEntry.id)).where(audit.AuditEntry.action == "record.saved")
    assert db.session.scalar(noted) == 5
    assert db.session.scalar(select(func.count(Entry.id)).where(Entry.kind == "state")) == 5


def test_what_is_refused_is_named_with_its_reason_and_stops_no_other(people, some):
    records.save(record_of(some[0]), by=people.dora.viewer, version=some[0].version, priority="low")
    records.save(record_of(some[1]), by=people.dora.viewer, version=some[1].version, state="closed")
    records.delete(record_of(some[2]), by=people.fred.viewer)
    closed = Chosen(some[1].number, record_of(some[1]).version)
    report = bulk.change([some[0], closed, *some[2:]], by=people.carol.viewer, changes={"state": "resolved"})
    assert [one.number for one in report.done] == [one.number for one in some[3:]]
    reasons = {one.number: one.reason for one in report.refused}
    assert "newer version" in reasons[some[0].number]
    assert "closed cannot become resolved" in reasons[some[1].number]
    assert "no such record" in reasons[some[2].number]
    assert record_of(some[0]).state == "new"


def test_what_is_like_that_already_is_counted_and_not_written(people, some):
    bulk.change(some[:2], by=people.carol.viewer, changes={"priority": "high"})
    standing = [Chosen(one.number, record_of(one).version) for one in some]
    report = bulk.change(standing, by=people.carol.viewer, changes={"priority": "high"})
    assert (len(report.done), report.unchanged) == (3, 2)


def test_tags_are_added_and_links_made_but_never_with_itself(people, some):
    records.save(record_of(some[0]), by=people.carol.viewer, version=some[0].version, tags=["kept"])
    standing = [Chosen(one.number, record_of(one).version) for one in some[:3]]
    report = bulk.change(standing, by=people.carol.viewer, changes={"tags": ["new"], "number": some[2].number})
    assert [one.number for one in report.done] == [one.number for one in some[:2]]
    assert "the record itself" in report.refused[0].reason
    assert sorted(tag.name for tag in record_of(some[0]).tags) == ["kept", "new"]
    assert not record_of(some[2]).tags
    linked = reading.load_linked(people.carol.viewer, record_of(some[2]))
    assert [record.number for record in linked] == [one.number for one in some[:2]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, ""),
        ({"subject": "x"}, ""),
        ({"assignee_id": "2000000001"}, "assignee_id"),
        ({"priority": "huge"}, "priority"),
        ({"number": "R-999999"}, "number"),
        ({"tags": "x" * 500}, "tags"),
    ],
)
def test_what_can_be_done_to_none_is_refused_as_a_whole(people, some, changes, field):
    with pytest.raises(Invalid) as refused:
        bulk.change(some, by=people.carol.viewer, changes=changes)
    assert list(refused.value.fields) == [field]
    assert {record_of(one).version for one in some} == {1}


def test_at_least_one_and_at_most_a_hundred(people, some):
    for chosen in ([], [Chosen(f"R-{n:06d}", 1) for n in range(bulk.MOST + 1)]):
        with pytest.raises(Invalid):
            bulk.change(chosen, by=people.carol.viewer, changes={"priority": "high"})
    with pytest.raises(Forbidden):
        bulk.change(some, by=people.alice.viewer, changes={"priority": "high"})


def test_the_statements_grow_with_the_records_and_no_faster(people, some, query_count):
    def statements(chosen, priority):
        db.session.expire_all()
        with query_count() as count:
            bulk.change(chosen, by=people.carol.viewer, changes={"priority": priority, "tags": "one, two"})
        return count.value

    statements(some[4:], "low")
    one = statements(some[:1], "high")
    three = statements(some[1:4], "high")
    assert one <= 40
    assert three <= 3 * one


def test_undo_puts_back_what_nobody_changed_since(people, some):
    records.save(record_of(some[0]), by=people.carol.viewer, version=1, assignee_id=people.erin.user_id, state="open")
    standing = [Chosen(one.number, record_of(one).version) for one in some[:3]]
    changes = {"assignee_id": people.dora.user_id, "state": "waiting", "tags": "later"}
    report = bulk.change(standing, by=people.carol.viewer, changes=changes)
    records.save(record_of(some[2]), by=people.dora.viewer, version=record_of(some[2]).version, subject="Mine now")
    done = [(Chosen(one.number, one.version), one.before) for one in report.undoable]
    back = bulk.undo(done, by=people.carol.viewer)
    assert [one.number for one in back.done] == [some[0].number]
    first = record_of(some[0])
    assert (first.assignee_id, first.state, first.tags) == (people.erin.user_id, "open", [])
    reasons = {one.number: one.reason for one in back.refused}
    assert "cannot become new" in reasons[some[1].number]
    assert "newer version" in reasons[some[2].number]


# The pages


def boxes(page):
    return re.findall(r'name="record" value="([^"]+)"', page.text)


@pytest.mark.thorough
def test_the_desk_changes_what_is_selected_and_takes_it_back(people, client_for, some):
    carol = client_for(people.carol)
    page = carol.get("/desk?queue=all&sort=number")
    assert len(boxes(page)) == 5
    data = {"record": boxes(page)[:2], "assignee_id": "nobody", "priority": "urgent", "back": "queue=all&sort=number"}
    answer = carol.post("/desk/changes", data=data)
    assert answer.status_code == 200
    assert "2 requests were changed." in answer.text
    assert 'href="/desk?queue=all&amp;sort=number"' in answer.text
    assert [record_of(one).priority for one in some[:3]] == ["urgent", "urgent", "normal"]
    undo = html.unescape(re.search(r'name="undo" value="([^"]+)"', answer.text)[1])
    answer = carol.post("/desk/changes/undo", data={"undo": undo})
    assert "2 requests were changed." in answer.text
    assert {record_of(one).priority for one in some} == {"normal"}
    stale = carol.post("/desk/changes", data={**data, "priority": "low"})
    assert "0 requests were changed. 2 were refused" in stale.text
    assert "newer version" in stale.text


def test_a_mistake_keeps_what_was_selected_and_filled_in(people, client_for, some):
    carol = client_for(people.carol)
    chosen = boxes(carol.get("/desk?queue=all"))
    answer = carol.post("/desk/changes", data={"record": chosen[:3], "number": "R-999999", "tags": "kept"})
    assert answer.status_code == 422
    assert boxes(answer) == chosen[:3]
    assert 'value="kept"' in answer.text
    assert "There is no record" in answer.text
    assert "Select the requests first." in carol.post("/desk/changes", data={"priority": "low"}).text
    assert "Say what to change." in carol.post("/desk/changes", data={"record": chosen}).text


def test_made_up_selections_are_refused(people, client_for, some):
    carol = client_for(people.carol)
    for record in ("R-000001", "R-000001.x", ".1", "R-000001." + "9" * 50, "R-000001.²"):
        assert carol.post("/desk/changes", data={"record": record, "priority": "low"}).status_code == 400
    for undo in ("", "x", "[]", "{}", "[1]", '[["R-000001", "1", {}]]', '[["R-000001", 1, {"priority": {}}]]'):
        assert carol.post("/desk/changes/undo", data={"undo": undo}).status_code == 400
    sent = json.dumps(
        [["R-000001", 1, {"priority": "huge", "subject": "x"}], ["R-000002", 1, {"tags": [[1]], "state": 7}]]
    )
    answer = carol.post("/desk/changes/undo", data={"undo": sent})
    assert answer.status_code == 200
    assert record_of(some[0]).subject == "No 0"


@pytest.mark.parametrize("path", ["/desk/changes", "/desk/changes/undo"])
def test_customers_change_nothing_at_the_desk(people, client_for, some, path):
    assert client_for(people.ann).post(path).status_code == 303
    assert client_for(people.alice).post(path, data={"record": "R-000001.1", "priority": "low"}).status_code == 403
    carol = client_for(people.carol)
    assert carol.get(path).status_code == 405
    carol.csrf = False
    assert carol.post(path, data={"record": "R-000001.1", "priority": "low"}).status_code == 400
