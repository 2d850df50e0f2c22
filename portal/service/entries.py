"""Answering a record: replies that its customer reads, and notes that no customer ever sees."""

from collections.abc import Sequence

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.access import Permission, Viewer
from portal.declared import Check, text
from portal.errors import Invalid
from portal.extensions import db
from portal.service.changing import Upload, attach, changing, commit, enter, mail_asker, require_seen, submission_key
from portal.service.fields import LONGEST_TEXT
from portal.service.models import Entry, Record
from portal.service.states import move_after_reply


def reply(
    record: Record,
    *,
    by: Viewer,
    body: str,
    state: str | None = None,
    submission: str | None = None,
    files: Sequence[Upload] = (),
    seen: int | None = None,
) -> Entry:
    """Add a public reply.  A customer's reply opens a waiting or finished record again; the first one of staff opens
    a new one, unless `state` says where it goes.  Staff's replies are mailed to whoever asked.  Files may stand alone.

    Commits the entry with its files, the record's outbox row, the mail and an audit entry.  `seen` is the newest entry
    that the writer had before them, 0 for none.

    Raises:
        Conflict: somebody else answered after `seen`; nothing was written.
        Invalid: the text or a file cannot be used, or the state cannot follow.
        Missing: the record is not this viewer's, or was deleted in between.
    """
    clean = _body(body, required=not files)
    return _answer(record, by=by, kind="reply", body=clean, state=state, submission=submission, files=files, seen=seen)


def note(
    record: Record,
    *,
    by: Viewer,
    body: str,
    submission: str | None = None,
    files: Sequence[Upload] = (),
) -> Entry:
    """Add an internal note, which no customer ever sees, nor its files.

    Commits it with its files, the record's outbox row and an audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: the text or a file cannot be used.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    clean = _body(body, required=not files)
    return _answer(record, by=by, kind="note", body=clean, state=None, submission=submission, files=files)


def _answer(
    record: Record,
    *,
    by: Viewer,
    kind: str,
    body: str,
    state: str | None,
    submission: str | None,
    files: Sequence[Upload],
    seen: int | None = None,
) -> Entry:
    key = submission_key(by, submission)
    try:
        with changing(record, by) as record:
            # Looked for behind the lock: of two equal sendings the second finds what the first one wrote.
            if key is not None:
                made = db.session.scalar(select(Entry).where(Entry.submission == key, Entry.record_id == record.id))
                if made is not None:
                    db.session.rollback()
                    return made
            require_seen(record, by, seen, body)
            entry = enter(record, by, kind, body=body, is_internal=kind == "note", submission=key)
            if kind == "reply":
                move_after_reply(record, by, state)
                mail_asker(record, by, "record_reply", body)
            attach(record, by, files, is_internal=kind == "note")
            db.session.flush()
            commit(record, f"record.{kind}", by=by, entry_id=entry.id)
    except IntegrityError:
        raise Invalid(
            {"body": _("This form was used for another record. Reload the page and send it again.")}
        ) from None
    return entry


def _body(body: object, *, required: bool) -> str:
    check = Check()
    clean = check.read("body", text, body, most=LONGEST_TEXT, required=required)
    check.finish()
    return clean or ""
