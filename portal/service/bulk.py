"""Several records changed at once: each in its own right, with its own lock, version, audit entry and outbox row.

One record that is refused stops no other.  What was done can be taken back as long as nobody saved in between.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _

from portal.access import Permission, Viewer
from portal.errors import Conflict, Invalid, Missing
from portal.service import fields, links, records
from portal.service.models import Record
from portal.service.reading import get_readable

MOST = 100
CHANGES = ("assignee_id", "state", "priority", "tags", "number")
PUT_BACK = ("assignee_id", "state", "priority", "tags")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A record as somebody chose it: by its number, at the version that they saw."""

    number: str
    version: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was not changed, and why."""

    number: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """A record that was changed: its version since, and what stood in the changed fields before."""

    number: str
    subject: str
    version: int
    before: Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """What became of the chosen records."""

    done: list[Done] = field(default_factory=list)
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)

    @property
    def undoable(self) -> list[Done]:
        """Return what can be taken back: links are taken back one by one on the records' pages."""
        return [one for one in self.done if one.before]


def change(chosen: Sequence[Chosen], *, by: Viewer, changes: Mapping[str, Any]) -> Report:
    """Make the same changes to each of the chosen records, and commit each alone.

    `changes` may hold assignee_id (None for nobody), state, priority, tags (to be added) and number (of a record to be
    linked with each).

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: nothing or too much is chosen, nothing is to be changed, or the link leads nowhere; nothing was done.
    """
    by.require(Permission.WORK_RECORDS)
    _check_chosen(chosen)
    if not changes or set(changes) - set(CHANGES):
        raise Invalid({"": _("Say what to change.")})
    given = {name: value for name, value in changes.items() if name in ("assignee_id", "priority", "tags")}
    clean: Any = fields.checked(given, by=by, is_new=False)
    added = clean.pop("tags", [])
    other_id = links.get_other(by, changes["number"]).id if "number" in changes else None

    def one(record: Record, version: int) -> Record:
        if record.id == other_id:
            raise Invalid({"number": _("This is the record itself; give another one's number.")})
        tags: Any = {"tags": [*(tag.name for tag in record.tags), *added]} if added else {}
        saved = records.save(record, by=by, version=version, state=changes.get("state"), **clean, **tags)
        if other_id is not None:
            saved = links.link_record(saved, by=by, number=changes["number"])
        return saved

    return _each(chosen, by, one)


def undo(done: Sequence[tuple[Chosen, Mapping[str, Any]]], *, by: Viewer) -> Report:
    """Put back what stood in the fields before, where nobody saved since, and commit each record alone.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: nothing or too much is to be taken back.
    """
    by.require(Permission.WORK_RECORDS)
    _check_chosen([chosen for chosen, _before in done])
    before = {chosen.number: values for chosen, values in done}

    def one(record: Record, version: int) -> Record:
        values: Any = {name: value for name, value in before[record.number].items() if name in PUT_BACK}
        return records.save(record, by=by, version=version, **values)

    return _each([chosen for chosen, _before in done], by, one)


def _check_chosen(chosen: Sequence[Chosen]) -> None:
    if not chosen:
        raise Invalid({"": _("Select the requests first.")})
    if len(chosen) > MOST:
        raise Invalid({"": _("Select at most %(most)s requests at once.", most=MOST)})


def _each(chosen: Sequence[Chosen], by: Viewer, one: Callable[[Record, int], Record]) -> Report:
    report = Report()
    for choice in dict.fromkeys(chosen):
        subject = ""
        try:
            record = get_readable(by, choice.number)
            subject = record.subject
            before = {name: value for name, value in fields.shape(record).items() if name in PUT_BACK}
            saved = one(record, choice.version)
        except Invalid as invalid:
            report.refused.append(Refused(choice.number, subject, " ".join(invalid.fields.values())))
        except (Conflict, Missing) as refusal:
            report.refused.append(Refused(choice.number, subject, str(refusal)))
        else:
            after = fields.shape(saved)
            if after["version"] == choice.version:
                report.unchanged += 1
                continue
            differing = {name: value for name, value in before.items() if value != after[name]}
            report.done.append(Done(choice.number, subject, after["version"], differing))
    return report
