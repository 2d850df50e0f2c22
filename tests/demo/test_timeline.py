"""Requests laid into time: nothing in the future, nobody of the staff at work on a Sunday, states in their order."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.demo import timeline
from portal.demo.content import Step, WrittenRecord, read_customers, read_records
from portal.service.states import TRANSITIONS

NOW = datetime(2026, 5, 13, 12, 0, tzinfo=UTC)
REGIONS = {customer["id"]: customer["region"] for customer in read_customers()}


def record(*steps: Step, opened: str = "40 09:30") -> WrittenRecord:
    return WrittenRecord(
        id="r", customer="c", product="p", category="k", opened=opened, subject="s", description="d", steps=steps
    )


@pytest.mark.thorough
@pytest.mark.parametrize("days", range(0, 365, 13))
def test_every_record_fits_into_the_past_whenever_the_demo_is_loaded(days: int):
    now = NOW + timedelta(days=days, hours=days % 24)
    for written in read_records():
        course = timeline.follow(written, region=REGIONS[written.customer], now=now)
        moments = [course.opened_at, *(event.at for event in course.events)]
        assert moments == sorted(moments), written.id
        assert moments[-1] < now
        assert course.opened_at > now - timedelta(days=31 * 19)
        state = "new"
        for event in course.events:
            if event.kind == "state":
                assert event.old_state == state, written.id
                assert event.new_state in TRANSITIONS[state], written.id
                state = event.new_state
        assert course.state == state


def test_a_working_day_later_is_never_a_weekend():
    friday = record(Step("1d", "ida", "reply", "Good morning."), opened="5 16:00")
    course = timeline.follow(friday, region="Europe / Germany", now=NOW)
    assert course.opened_at.strftime("%A %H:%M") == "Friday 16:00"
    assert course.events[-1].at.strftime("%A %H:%M") == "Monday 16:00"


def test_an_answer_opens_a_record_and_a_caller_wakes_a_waiting_one():
    course = timeline.follow(
        record(
            Step("1h", "ida", "reply", "Which version?"),
            Step("5m", "ida", "waiting"),
            Step("2h", "caller", "reply", "The latest."),
            Step("1h", "ida", "resolved", "Done."),
        ),
        region="Taiwan / Taipei",
        now=NOW,
    )
    states = [event.new_state for event in course.events if event.kind == "state"]
    assert states == ["open", "waiting", "open", "resolved", "closed"]
    assert (course.assignee, course.resolution) == ("ida", "Done.")


def test_what_was_resolved_lately_is_not_closed_yet():
    lately = record(Step("1h", "ida", "resolved", "Done."), opened="6 09:00")
    course = timeline.follow(lately, region="Europe / Sweden", now=NOW)
    assert (course.state, course.closed_at) == ("resolved", None)


def test_a_record_without_steps_waits_for_somebody():
    course = timeline.follow(record(opened="0 13:00"), region="Europe / Sweden", now=NOW)
    assert (course.state, course.assignee, course.events) == ("new", None, ())
    assert course.opened_at < NOW
