"""When things happened in the demo: "212 days ago, at 09:14" and "two working days later" made into moments.

Pure, and the same for the same moment of loading.  Staff work on weekdays; whoever calls, calls whenever they like.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from portal.demo.content import Step, WrittenRecord

STAFF_WAIT = timedelta(minutes=1)
"""A record is opened this long before its first answer."""
CLOSED_AFTER_DAYS = 14
ZONES = {"Europe": 1, "Taiwan": 8, "Mainland China": 8}
"""Hours from UTC by region.  Summer time is left out: nobody will miss an hour in an invented request."""
CALLER = "caller"
_SPAN = re.compile(r"(\d+)([dhm])")
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a timeline, with its moment."""

    at: datetime
    who: str
    kind: str
    text: str = ""
    old_state: str | None = None
    new_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What became of a record: its moments, its present state, and all that happened."""

    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    state: str
    resolution: str
    assignee: str | None
    events: tuple[Event, ...]


def moment(days: int, name: str, *, now: datetime) -> datetime:
    """Return a weekday moment in office hours so many days ago; the hour follows from the name, so that it stays."""
    spread = sum(ord(letter) * place for place, letter in enumerate(name, start=1))
    at = (now - timedelta(days=days)).replace(hour=8 + spread % 9, minute=spread % 60, second=0, microsecond=0)
    at = _weekday(at, step=-1)
    return at if at <= now else at - timedelta(days=1)


def follow(record: WrittenRecord, *, region: str, now: datetime) -> Course:
    """Lay a record's steps into time, so that nothing lies in the future."""
    days, clock = record.opened.split()
    zone = timezone(timedelta(hours=ZONES[region.split(" / ")[0]]))
    hour, minute = map(int, clock.split(":"))
    for more in range(60):
        opened = (now.astimezone(zone) - timedelta(days=int(days) + more)).replace(hour=hour, minute=minute, second=0)
        course = _course(record, opened.replace(microsecond=0))
        if course.updated_at < now:
            return _closed(course, now)
    raise ValueError(f"record {record.id!r} takes longer than the time since it was opened; give it an earlier date")


def _course(record: WrittenRecord, opened: datetime) -> Course:
    at, state, assignee, resolution, resolved_at = opened, "new", None, "", None
    events: list[Event] = []
    for step in record.steps:
        earlier, at = at, _later(at, step)
        is_staff = step.who != CALLER
        wanted = step.what if step.what in ("waiting", "resolved") else state
        if is_staff and assignee is None:
            assignee = step.who
        if (is_staff and state == "new") or (not is_staff and state == "waiting" and wanted == "waiting"):
            began = max(at - STAFF_WAIT, earlier) if is_staff else at
            events.append(Event(at=began, who=step.who, kind="state", old_state=state, new_state="open"))
            wanted = "open" if wanted == state else wanted
            state = "open"
        if step.what in ("reply", "note"):
            events.append(Event(at=at, who=step.who, kind=step.what, text=step.text))
        if wanted != state:
            events.append(Event(at=at, who=step.who, kind="state", text=step.text, old_state=state, new_state=wanted))
            state = wanted
        if state == "resolved":
            resolution, resolved_at = step.text, at
    return Course(
        opened_at=opened,
        updated_at=at,
        resolved_at=resolved_at,
        closed_at=None,
        state=state,
        resolution=resolution,
        assignee=assignee,
        events=tuple(events),
    )


def _closed(course: Course, now: datetime) -> Course:
    """Close what has been resolved for a fortnight."""
    if course.resolved_at is None or course.assignee is None:
        return course
    at = _weekday(course.resolved_at + timedelta(days=CLOSED_AFTER_DAYS), step=1)
    if at >= now:
        return course
    closing = Event(at=at, who=course.assignee, kind="state", old_state="resolved", new_state="closed")
    return Course(
        opened_at=course.opened_at,
        updated_at=at,
        resolved_at=course.resolved_at,
        closed_at=at,
        state="closed",
        resolution=course.resolution,
        assignee=course.assignee,
        events=(*course.events, closing),
    )


def _later(at: datetime, step: Step) -> datetime:
    spans: Sequence[tuple[str, str]] = _SPAN.findall(step.after)
    for number, unit in spans:
        if unit == "d":
            for _ in range(int(number)):
                at = _weekday(at + timedelta(days=1), step=1)
        else:
            at += timedelta(**{"hours" if unit == "h" else "minutes": int(number)})
    return at if step.who == CALLER else _weekday(at, step=1)


def _weekday(at: datetime, *, step: int) -> datetime:
    while at.weekday() >= _SATURDAY:
        at += timedelta(days=step)
    return at
