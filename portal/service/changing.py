"""What every change of a record begins and ends with.

A change begins by raising the record's outbox row.  That row is the first lock everybody takes, so that two people who
answer one record at the same moment do so one after the other, on both databases, and both are kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from flask_babel import gettext as _
from sqlalchemy import select

from portal import audit, outbox
from portal.access import Viewer
from portal.attachments import attachments
from portal.customers import points
from portal.declared import looked_for
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db, now
from portal.mail import messages
from portal.service.models import Entry, Record
from portal.service.reading import load_timeline


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in."""

    file_name: str
    stream: BinaryIO


@contextmanager
def changing(record: Record, by: Viewer) -> Iterator[Record]:
    """Give the record as it is now, locked by its outbox row, to somebody who may write to it; undo on any error."""
    try:
        known = db.session.get(Record, record.id)
        if known is not None:
            outbox.record(known)
            # Not `get` or `refresh`: under a lock these insist that nobody saved in between.
            known = db.session.scalar(
                select(Record)
                .where(Record.id == known.id)
                .with_for_update(key_share=True)
                .execution_options(populate_existing=True)
            )
        if known is None or not by.may_read(known.readers):
            raise Missing(_("There is no such record."))
        yield known
    except BaseException:
        db.session.rollback()
        raise


def commit(record: Record, action: str, *, by: Viewer, **details: Any) -> None:
    """Commit a change with its audit entry, and wake the indexer."""
    record.updated_at = now()
    audit.append(action, by=by, kind="record", object_id=record.id, details=details)
    db.session.commit()
    outbox.nudge()


def require_seen(record: Record, by: Viewer, seen: int | None, words: str) -> None:
    """Raise `Conflict` when somebody else wrote something, which `by` may read, after the entry that `by` saw last.

    Asked behind the lock, so that nothing slips in between.  Without `seen` nothing is asked.
    """
    if seen is None:
        return
    newer = [
        entry.id
        for entry in load_timeline(by, record)
        if entry.id > seen
        and entry.kind in ("reply", "note", "attachment")
        and (entry.by_id is None or entry.by_id != by.user_id)
    ]
    if newer:
        raise Conflict(
            _("Somebody answered while you were writing. Read it, and send your answer again."),
            current={"entries": newer},
            given={"body": words},
        )


def submission_key(by: Viewer, submission: str | None) -> str | None:
    """Return the name of a sending, bound to its sender: nobody can ask for another's."""
    name = looked_for(submission or "", most=80)
    return f"{by.user_id}:{name}" if name else None


def enter(record: Record, by: Viewer | None, kind: str, **values: Any) -> Entry:
    """Add an entry to the timeline; nobody is `by` for what came from elsewhere."""
    entry = Entry(
        kind=kind,
        by_id=by.user_id if by is not None else None,
        is_from_customer=by is not None and not by.is_staff,
        at=now(),
        **values,
    )
    entry.record_id = record.id
    db.session.add(entry)
    return entry


def attach(record: Record, by: Viewer, files: Sequence[Upload], *, is_internal: bool) -> None:
    """Store files, each with an entry of its own in the timeline."""
    for file in files:
        try:
            stored = attachments.store(
                file.stream,
                file_name=file.file_name,
                owner_kind="record",
                owner_id=record.id,
                by=by,
                is_internal=is_internal,
            )
        except Invalid as invalid:
            raise Invalid({"files": " ".join(invalid.fields.values())}) from None
        db.session.flush()
        enter(record, by, "attachment", attachment_id=stored.id, is_internal=is_internal)


def mail_asker(record: Record, by: Viewer, template: str, body: str) -> None:
    """Queue a mail to whoever asked: their account's address, or the contact's who has no account."""
    if not by.is_staff:
        return
    requester = record.requester
    if requester is not None:
        if requester.id != by.user_id and requester.is_active:
            language_of = requester.locale or record.language
            messages.queue(requester.email, template, language=language_of, record=record, body=body)
        return
    addresses = [point for point in record.contact.points if point.kind == "email"] if record.contact else []
    if addresses:
        messages.queue(points.opened(addresses[0]), template, language=record.language, record=record, body=body)
