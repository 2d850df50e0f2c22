"""Service records: opening, changing, assigning and deleting them."""

from collections.abc import Sequence
from typing import Unpack

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from portal import audit, outbox
from portal.access import Permission, Viewer
from portal.attachments import attachments
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.service.changing import Upload, attach, changing, commit, submission_key
from portal.service.fields import RecordFields, apply, checked, shape
from portal.service.models import Record, RecordCounter
from portal.service.states import checked_resolution, move, solve


def create(
    *,
    by: Viewer,
    submission: str | None = None,
    files: Sequence[Upload] = (),
    **fields: Unpack[RecordFields],
) -> Record:
    """Open a record.  A customer opens it for their own company; staff may name any customer.

    `submission` names one sending of a form: sent again by the same person, it gives back the record it made.
    Commits the record with its files, its outbox row and an audit entry.

    Raises:
        Forbidden: the viewer may not ask.
        Invalid: a field cannot be used, or is not this viewer's to set.
    """
    by.require(Permission.ASK)
    key = submission_key(by, submission)
    if key is not None and (made := db.session.scalar(select(Record).where(Record.submission == key))) is not None:
        return made
    clean = checked({"kind": "request", **fields}, by=by, is_new=True)
    if not by.is_staff:
        clean |= {"customer_id": by.customer_id, "requester_id": by.user_id}
    record = Record(number=take_numbers(1)[0], submission=key, state="new")
    apply(record, clean)
    db.session.add(record)
    try:
        outbox.record(record)
    except IntegrityError:
        # The same form, sent twice at one moment: the other sending won, and its record is this one's answer.
        db.session.rollback()
        return db.session.scalars(select(Record).where(Record.submission == key)).one()
    try:
        attach(record, by, files, is_internal=False)
    except Invalid:
        db.session.rollback()
        raise
    audit.append("record.created", by=by, kind="record", object_id=record.id)
    db.session.commit()
    outbox.nudge()
    return record


def save(
    record: Record,
    *,
    by: Viewer,
    version: int,
    state: str | None = None,
    resolution: str | None = None,
    **fields: Unpack[RecordFields],
) -> Record:
    """Change fields of a record that was read at `version`; with `resolution` resolve it, with `state` move it, too.

    Commits all of it with the record's outbox row and an audit entry, or nothing; nothing when nothing differs.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: a field cannot be used, or the state cannot follow.
        Conflict: somebody saved in between; both versions are in it and nothing was written.
        Missing: it was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    clean = checked(fields, by=by, is_new=False, record=record)
    solved = checked_resolution(resolution) if resolution is not None else None
    with changing(record, by) as record:
        if record.version != version:
            raise Conflict(
                _("Somebody saved a newer version of %(number)s. Compare both and save again.", number=record.number),
                current=shape(record),
                given=fields,
            )
        changed = {*apply(record, clean)}
        if solved is not None:
            changed.add("resolution")
            solve(record, by, solved)
        if state is not None and state != record.state:
            changed.add("state")
            move(record, by, state)
        if not changed:
            db.session.rollback()
            return record
        commit(record, "record.saved", by=by, fields=sorted(changed))
    return record


def assign(record: Record, *, by: Viewer, assignee_id: int | None) -> Record:
    """Give a record to a member of staff, or to nobody.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such member of staff.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    clean = checked({"assignee_id": assignee_id}, by=by, is_new=False, record=record)
    with changing(record, by) as record:
        record.assignee_id = clean["assignee_id"]
        commit(record, "record.assigned", by=by, assignee_id=record.assignee_id)
    return record


def delete(record: Record, *, by: Viewer) -> None:
    """Delete a record with its timeline for good.  Commits with the outbox row and an audit entry.

    Raises:
        Forbidden: the viewer does not manage data; deleting is for those who may export it all.
        Missing: it was deleted in between.
    """
    by.require(Permission.EXPORT)
    with changing(record, by) as record:
        record_id, number = record.id, record.number
        attachments.delete_all("record", record_id)
        db.session.delete(record)
        db.session.flush()
        audit.append("record.deleted", by=by, kind="record", object_id=record_id, details={"number": number})
        db.session.commit()
    outbox.nudge()


def take_numbers(count: int) -> list[str]:
    """Take the next record numbers.  The counter's row is the lock; a number that is not used stays a gap."""
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(RecordCounter).values(id=1, last=count)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"last": RecordCounter.last + count})
    last = db.session.execute(statement.returning(RecordCounter.last)).scalar_one()
    return [f"R-{number:06d}" for number in range(last - count + 1, last + 1)]
