"""The states of a record: which may follow which, and moving from one to another."""

from collections.abc import Mapping

from flask_babel import gettext as _

from portal.access import Permission, Viewer
from portal.declared import Check, text
from portal.errors import Invalid
from portal.extensions import db, now
from portal.service.changing import changing, commit, enter, mail_asker, require_seen
from portal.service.fields import LONGEST_TEXT
from portal.service.links import put_link, readable_article
from portal.service.models import STATES, Record

TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "new": ("open", "waiting", "resolved", "closed"),
    "open": ("waiting", "resolved", "closed"),
    "waiting": ("open", "resolved", "closed"),
    "resolved": ("open", "closed"),
    "closed": ("open",),
}
"""Which state may follow which."""
ACTIVE = ("new", "open", "waiting")
DONE = ("resolved", "closed")


def next_states(record: Record) -> tuple[str, ...]:
    """Return the states that may follow the present one."""
    return TRANSITIONS[record.state]


def change_state(record: Record, *, by: Viewer, state: str) -> Record:
    """Move a record to another state.  Commits it with an entry, the outbox row and an audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such state, or it cannot follow the present one.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    with changing(record, by) as record:
        move(record, by, state)
        commit(record, "record.state_changed", by=by, state=state)
    return record


def resolve(
    record: Record, *, by: Viewer, resolution: str, article_id: int | None = None, seen: int | None = None
) -> Record:
    """Write down what solved a record, link the article that helped, and move it to resolved.

    Commits all of it with the entry, the outbox row, the mail to whoever asked and an audit entry.  `seen` is the
    newest entry that the writer had before them, 0 for none.

    Raises:
        Conflict: somebody else answered after `seen`; nothing was written.
        Forbidden: the viewer does not work on records.
        Invalid: the text cannot be used, there is no such article, or the record is closed.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    check = Check()
    clean = check.read("resolution", text, resolution, most=LONGEST_TEXT, required=True)
    article = check.read("article_id", readable_article, article_id, by)
    check.finish()
    with changing(record, by) as record:
        require_seen(record, by, seen, clean or "")
        solve(record, by, clean or "")
        if article is not None:
            put_link(record, by, article)
        commit(record, "record.resolved", by=by)
    return record


def say_solved(record: Record, *, by: Viewer) -> Record:
    """Let whoever asked say that it is solved.  Commits the move with its entry, the outbox row and an audit entry.

    Raises:
        Missing: the record is not this viewer's, or was deleted in between.
    """
    with changing(record, by) as record:
        if record.state in DONE:
            db.session.rollback()
            return record
        move(record, by, "resolved")
        commit(record, "record.said_solved", by=by)
    return record


def checked_resolution(typed: str) -> str:
    """Return a resolution that can be written down, or raise `Invalid`."""
    check = Check()
    clean = check.read("resolution", text, typed, most=LONGEST_TEXT, required=True)
    check.finish()
    return clean or ""


def solve(record: Record, by: Viewer, resolution: str) -> None:
    """Write down what solved a record, move it to resolved, and queue the mail to whoever asked."""
    record.resolution = resolution
    if record.state != "resolved":
        move(record, by, "resolved", body=resolution)
    mail_asker(record, by, "record_resolved", resolution)


def move(record: Record, by: Viewer, state: str, *, body: str = "") -> None:
    """Put a record that is being changed into a state, with an entry; raise `Invalid` where it cannot follow."""
    if state not in STATES:
        raise Invalid({"state": _("Choose one of: %(choices)s.", choices=", ".join(STATES))})
    if state not in TRANSITIONS[record.state]:
        raise Invalid(
            {
                "state": _(
                    "A record that is %(old)s cannot become %(new)s; possible are: %(choices)s.",
                    old=record.state,
                    new=state,
                    choices=", ".join(TRANSITIONS[record.state]),
                )
            }
        )
    enter(record, by, "state", old_state=record.state, new_state=state, body=body)
    record.state = state
    record.resolved_at = now() if state == "resolved" else None if state in ACTIVE else record.resolved_at
    record.closed_at = now() if state == "closed" else None


def move_after_reply(record: Record, by: Viewer, state: str | None) -> None:
    """Move a record on as a reply does: to `state`, which is staff's to say, or where replies lead by themselves."""
    if by.is_staff:
        wanted = state or ("open" if record.state == "new" else record.state)
    elif state is not None:
        raise Invalid({"state": _("The state is not yours to set.")})
    else:
        wanted = "open" if record.state in ("waiting", *DONE) else record.state
    if wanted != record.state:
        move(record, by, wanted)
