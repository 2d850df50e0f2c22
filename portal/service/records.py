"""Service records: opening, answering, moving and importing them.

Every operation begins by raising the record's outbox row.  That row is the first lock everybody takes, so that two
people who answer one record at the same moment do so one after the other, on both databases, and both are kept.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, TypedDict, TypeVar, Unpack, cast

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from portal import audit, outbox
from portal.access import Audience, Permission, Role, Viewer, narrowest
from portal.accounts.models import User
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.customers import points
from portal.customers.customers import Outcome, Status
from portal.customers.models import Contact, Customer
from portal.declared import Check, choice, extra, language, moment, text, whole, words
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db, now
from portal.knowledge.findable import select_readable as select_readable_articles
from portal.knowledge.models import Article
from portal.mail import messages
from portal.service.findable import select_readable
from portal.service.models import (
    KINDS,
    PRIORITIES,
    STATES,
    ArticleLink,
    Entry,
    Record,
    RecordCounter,
    RecordLink,
)
from portal.vocabulary.models import Category, Product, Tag
from portal.vocabulary.words import find_or_create

Word = TypeVar("Word", Category, Product)
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
LONGEST_TEXT = 100_000
STAFF_ROLES = (Role.AGENT, Role.EDITOR, Role.MANAGER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in."""

    file_name: str
    stream: BinaryIO


class RecordFields(TypedDict, total=False):
    """Everything of a record that people and programs may set; states have operations of their own.

    The ids are of what the viewer may choose: others are refused like missing ones.  `tags` are names or slugs.
    """

    kind: str
    subject: str
    description: str
    language: str
    serial_number: str
    product_id: int | None
    category_id: int | None
    priority: str
    customer_id: int | None
    contact_id: int | None
    requester_id: int | None
    assignee_id: int | None
    tags: Sequence[str]


DECLARED = tuple(RecordFields.__annotations__)
CUSTOMERS_MAY_SET = ("kind", "subject", "description", "language", "serial_number", "product_id", "category_id")
_PLAIN = tuple(name for name in DECLARED if name != "tags")
_RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "kind": (choice, {"choices": KINDS}),
    "subject": (text, {"most": 300, "required": True, "is_line": True}),
    "description": (text, {"most": LONGEST_TEXT}),
    "language": (language, {}),
    "serial_number": (text, {"most": 100, "is_line": True}),
    "priority": (choice, {"choices": PRIORITIES}),
    "tags": (words, {"most": 50, "longest": 120}),
    "product_id": (whole, {}),
    "category_id": (whole, {}),
    "customer_id": (whole, {}),
    "contact_id": (whole, {}),
    "requester_id": (whole, {}),
    "assignee_id": (whole, {}),
}


# Opening and changing


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
    key = _submission_key(by, submission)
    if key is not None and (made := db.session.scalar(select(Record).where(Record.submission == key))) is not None:
        return made
    clean = _check({"kind": "request", **fields}, by=by, is_new=True)
    if not by.is_staff:
        clean |= {"customer_id": by.customer_id, "requester_id": by.user_id}
    record = Record(number=_numbers(1)[0], submission=key, state="new")
    _apply(record, clean)
    db.session.add(record)
    try:
        outbox.record(record)
    except IntegrityError:
        # The same form, sent twice at one moment: the other sending won, and its record is this one's answer.
        db.session.rollback()
        return db.session.scalars(select(Record).where(Record.submission == key)).one()
    try:
        _attach(record, by, files, is_internal=False)
    except Invalid:
        db.session.rollback()
        raise
    audit.append("record.created", by=by, kind="record", object_id=record.id)
    db.session.commit()
    outbox.nudge()
    return record


def save(record: Record, *, by: Viewer, version: int, **fields: Unpack[RecordFields]) -> Record:
    """Change fields of a record that was read at `version`.

    Commits the change with the record's outbox row and an audit entry; nothing when nothing differs.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: a field cannot be used.
        Conflict: somebody saved in between; both versions are in it and nothing was written.
        Missing: it was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    clean = _check(fields, by=by, is_new=False, record=record)
    with _changing(record, by) as record:
        if record.version != version:
            raise Conflict(
                _("Somebody saved a newer version of %(number)s. Compare both and save again.", number=record.number),
                current=shape(record),
                given=fields,
            )
        changed = _apply(record, clean)
        if not changed:
            db.session.rollback()
            return record
        record.updated_at = now()
        audit.append("record.saved", by=by, kind="record", object_id=record.id, details={"fields": sorted(changed)})
        db.session.commit()
    outbox.nudge()
    return record


def assign(record: Record, *, by: Viewer, assignee_id: int | None) -> Record:
    """Give a record to a member of staff, or to nobody.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such member of staff.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    clean = _check({"assignee_id": assignee_id}, by=by, is_new=False, record=record)
    with _changing(record, by) as record:
        record.assignee_id = clean["assignee_id"]
        record.updated_at = now()
        audit.append(
            "record.assigned", by=by, kind="record", object_id=record.id, details={"assignee_id": record.assignee_id}
        )
        db.session.commit()
    outbox.nudge()
    return record


def reply(
    record: Record,
    *,
    by: Viewer,
    body: str,
    state: str | None = None,
    submission: str | None = None,
    files: Sequence[Upload] = (),
) -> Entry:
    """Add a public reply.  A customer's reply opens a waiting or finished record again; the first one of staff opens
    a new one, unless `state` says where it goes.  Staff's replies are mailed to whoever asked.  Files may stand alone.

    Commits the entry with its files, the record's outbox row, the mail and an audit entry.

    Raises:
        Invalid: the text or a file cannot be used, or the state cannot follow.
        Missing: the record is not this viewer's, or was deleted in between.
    """
    clean = _body(body, required=not files)
    return _answer(record, by=by, kind="reply", body=clean, state=state, submission=submission, files=files)


def note(
    record: Record, *, by: Viewer, body: str, submission: str | None = None, files: Sequence[Upload] = ()
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
) -> Entry:
    key = _submission_key(by, submission)
    try:
        with _changing(record, by) as record:
            # Looked for behind the lock: of two equal sendings the second finds what the first one wrote.
            if key is not None:
                made = db.session.scalar(select(Entry).where(Entry.submission == key, Entry.record_id == record.id))
                if made is not None:
                    db.session.rollback()
                    return made
            entry = _enter(record, by, kind, body=body, is_internal=kind == "note", submission=key)
            if kind == "reply":
                _move_after_reply(record, by, state)
                _mail(record, by, "record_reply", body)
            _attach(record, by, files, is_internal=kind == "note")
            record.updated_at = now()
            db.session.flush()
            audit.append(f"record.{kind}", by=by, kind="record", object_id=record.id, details={"entry_id": entry.id})
            db.session.commit()
    except IntegrityError:
        raise Invalid(
            {"body": _("This form was used for another record. Reload the page and send it again.")}
        ) from None
    outbox.nudge()
    return entry


def change_state(record: Record, *, by: Viewer, state: str) -> Record:
    """Move a record to another state.  Commits it with an entry, the outbox row and an audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such state, or it cannot follow the present one.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    with _changing(record, by) as record:
        _move(record, by, state)
        record.updated_at = now()
        audit.append("record.state_changed", by=by, kind="record", object_id=record.id, details={"state": state})
        db.session.commit()
    outbox.nudge()
    return record


def resolve(record: Record, *, by: Viewer, resolution: str, article_id: int | None = None) -> Record:
    """Write down what solved a record, link the article that helped, and move it to resolved.

    Commits all of it with the entry, the outbox row, the mail to whoever asked and an audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: the text cannot be used, there is no such article, or the record is closed.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    check = Check()
    clean = check.read("resolution", text, resolution, most=LONGEST_TEXT, required=True)
    article = check.read("article_id", _readable_article, article_id, by)
    check.finish()
    with _changing(record, by) as record:
        record.resolution = clean or ""
        if record.state != "resolved":
            _move(record, by, "resolved", body=record.resolution)
        if article is not None:
            _link(record, by, article)
        _mail(record, by, "record_resolved", record.resolution)
        record.updated_at = now()
        audit.append("record.resolved", by=by, kind="record", object_id=record.id)
        db.session.commit()
    outbox.nudge()
    return record


def say_solved(record: Record, *, by: Viewer) -> Record:
    """Let whoever asked say that it is solved.  Commits the move with its entry, the outbox row and an audit entry.

    Raises:
        Missing: the record is not this viewer's, or was deleted in between.
    """
    with _changing(record, by) as record:
        if record.state in DONE:
            db.session.rollback()
            return record
        _move(record, by, "resolved")
        record.updated_at = now()
        audit.append("record.said_solved", by=by, kind="record", object_id=record.id)
        db.session.commit()
    outbox.nudge()
    return record


def link_article(record: Record, *, by: Viewer, article_id: int) -> Record:
    """Link an article that helps with the record.  Commits with outbox row and audit entry; twice is once.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such article for this viewer.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    check = Check()
    article = check.read("article_id", _readable_article, article_id, by)
    if article is None:
        check.refuse("article_id", _("There is no such article."))
    check.finish()
    with _changing(record, by) as record:
        _link(record, by, cast("Article", article))
        record.updated_at = now()
        audit.append(
            "record.article_linked", by=by, kind="record", object_id=record.id, details={"article_id": article_id}
        )
        db.session.commit()
    outbox.nudge()
    return record


def unlink_article(record: Record, *, by: Viewer, article_id: int) -> Record:
    """Take a linked article away.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Missing: the record is gone, or the article was not linked.
    """
    by.require(Permission.WORK_RECORDS)
    with _changing(record, by) as record:
        link = db.session.get(ArticleLink, (record.id, article_id))
        if link is None:
            raise Missing(_("This article is not linked."))
        record.article_links.remove(link)
        record.updated_at = now()
        audit.append(
            "record.article_unlinked", by=by, kind="record", object_id=record.id, details={"article_id": article_id}
        )
        db.session.commit()
    outbox.nudge()
    return record


def link_record(record: Record, *, by: Viewer, number: str) -> Record:
    """Link another record about the same thing, in both directions.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Invalid: there is no such other record.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    try:
        other = get_readable(by, number)
    except Missing:
        raise Invalid({"number": _("There is no record %(number)s.", number=repr(number[:40]))}) from None
    if other.id == record.id:
        raise Invalid({"number": _("This is the record itself; give another one's number.")})
    with _changing(record, by) as record:
        for one, two in ((record.id, other.id), (other.id, record.id)):
            if db.session.get(RecordLink, (one, two)) is None:
                db.session.add(RecordLink(record_id=one, other_id=two, by_id=by.user_id))
        record.updated_at = now()
        audit.append("record.linked", by=by, kind="record", object_id=record.id, details={"other_id": other.id})
        db.session.commit()
    outbox.nudge()
    return record


def unlink_record(record: Record, *, by: Viewer, number: str) -> Record:
    """Take the link between two records away, in both directions.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer does not work on records.
        Missing: the record is gone, or the other one was not linked.
    """
    by.require(Permission.WORK_RECORDS)
    other = get_readable(by, number)
    with _changing(record, by) as record:
        links = [db.session.get(RecordLink, pair) for pair in ((record.id, other.id), (other.id, record.id))]
        if not any(links):
            raise Missing(_("This record is not linked."))
        for link in links:
            if link is not None:
                db.session.delete(link)
        record.updated_at = now()
        audit.append("record.unlinked", by=by, kind="record", object_id=record.id, details={"other_id": other.id})
        db.session.commit()
    outbox.nudge()
    return record


def delete(record: Record, *, by: Viewer) -> None:
    """Delete a record with its timeline for good.  Commits with the outbox row and an audit entry.

    Raises:
        Forbidden: the viewer does not manage data; deleting is for those who may export it all.
        Missing: it was deleted in between.
    """
    by.require(Permission.EXPORT)
    with _changing(record, by) as record:
        record_id, number = record.id, record.number
        attachments.delete_all("record", record_id)
        db.session.delete(record)
        db.session.flush()
        audit.append("record.deleted", by=by, kind="record", object_id=record_id, details={"number": number})
        db.session.commit()
    outbox.nudge()


# Reading


def get_readable(viewer: Viewer, number: str | int) -> Record:
    """Return the record of this number, or of this id, that the viewer may read.

    Raises:
        Missing: there is none, or it is somebody else's.
    """
    wanted = Record.id == number if isinstance(number, int) else Record.number == number.strip().upper()[:20]
    record = db.session.scalar(select_readable(viewer).where(wanted))
    if record is None:
        raise Missing(_("There is no such record."))
    return cast("Record", record)


def load_timeline(viewer: Viewer, record: Record) -> Sequence[Entry]:
    """Return the entries of a record that this viewer may read, oldest first: the only way to a timeline."""
    wanted = select(Entry).where(Entry.record_id == record.id)
    if not viewer.is_staff:
        wanted = wanted.where(Entry.is_internal.is_(False), Entry.kind != "note")
    return db.session.scalars(wanted.options(joinedload(Entry.by)).order_by(Entry.at, Entry.id)).all()


def load_files(viewer: Viewer, record: Record) -> dict[int, Attachment]:
    """Return the files of a record that this viewer may read, by id."""
    found = attachments.load_for("record", record.id, with_internal=viewer.is_staff)
    return {attachment.id: attachment for attachment in found}


def get_file(viewer: Viewer, record: Record, attachment_id: int) -> Attachment:
    """Return one file of a record.

    Raises:
        Missing: the record has none of this id, or it belongs to a note that this viewer may not read.
    """
    found = attachments.find(attachment_id, owner_kind="record", owner_id=record.id, with_internal=viewer.is_staff)
    if found is None:
        raise Missing(_("There is no such record."))
    return found


def load_articles(viewer: Viewer, record: Record) -> Sequence[Article]:
    """Return the linked articles that this viewer may read, in the order they were linked."""
    return db.session.scalars(
        select_readable_articles(viewer)
        .join(ArticleLink, ArticleLink.article_id == Article.id)
        .where(ArticleLink.record_id == record.id)
        .order_by(ArticleLink.at, Article.id)
    ).all()


def load_linked(viewer: Viewer, record: Record) -> Sequence[Record]:
    """Return the linked records that this viewer may read."""
    return db.session.scalars(
        select_readable(viewer)
        .join(RecordLink, RecordLink.other_id == Record.id)
        .where(RecordLink.record_id == record.id)
        .order_by(Record.number)
    ).all()


def load_staff() -> Sequence[User]:
    """Return the members of staff who may be given a record, by name."""
    return db.session.scalars(
        select(User).where(User.role.in_(STAFF_ROLES), User.is_active.is_(True)).order_by(func.lower(User.name))
    ).all()


def next_states(record: Record) -> tuple[str, ...]:
    """Return the states that may follow the present one."""
    return TRANSITIONS[record.state]


def shape(record: Record) -> dict[str, Any]:
    """Return the declared fields as they stand, with id, number, state and version: what conflicts compare."""
    return {
        "id": record.id,
        "number": record.number,
        "version": record.version,
        "state": record.state,
        **{name: getattr(record, name) for name in _PLAIN},
        "tags": [tag.name for tag in record.tags],
    }


# What the operations share


@contextmanager
def _changing(record: Record, by: Viewer) -> Iterator[Record]:
    """Give the record as it is now, locked by its outbox row, to somebody who may write to it; undo on any error."""
    try:
        known = db.session.get(Record, record.id)
        if known is not None:
            outbox.record(known)
            # Not `get` or `refresh`: under a lock these insist that nobody saved in between.
            known = db.session.scalar(
                select(Record).where(Record.id == known.id).with_for_update().execution_options(populate_existing=True)
            )
        if known is None or not by.may_read(known.readers):
            raise Missing(_("There is no such record."))
        yield known
    except BaseException:
        db.session.rollback()
        raise


def _numbers(count: int) -> list[str]:
    """Take the next record numbers.  The counter's row is the lock; a number that is not used stays a gap."""
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(RecordCounter).values(id=1, last=count)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"last": RecordCounter.last + count})
    last = db.session.execute(statement.returning(RecordCounter.last)).scalar_one()
    return [f"R-{number:06d}" for number in range(last - count + 1, last + 1)]


def _submission_key(by: Viewer, submission: str | None) -> str | None:
    """Return the name of a sending, bound to its sender: nobody can ask for another's."""
    return f"{by.user_id}:{submission[:80]}" if submission else None


def _body(body: object, *, required: bool) -> str:
    check = Check()
    clean = check.read("body", text, body, most=LONGEST_TEXT, required=required)
    check.finish()
    return clean or ""


def _enter(record: Record, by: Viewer | None, kind: str, **values: Any) -> Entry:
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


def _attach(record: Record, by: Viewer, files: Sequence[Upload], *, is_internal: bool) -> None:
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
        _enter(record, by, "attachment", attachment_id=stored.id, is_internal=is_internal)


def _move(record: Record, by: Viewer, state: str, *, body: str = "") -> None:
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
    _enter(record, by, "state", old_state=record.state, new_state=state, body=body)
    record.state = state
    record.resolved_at = now() if state == "resolved" else None if state in ACTIVE else record.resolved_at
    record.closed_at = now() if state == "closed" else None


def _move_after_reply(record: Record, by: Viewer, state: str | None) -> None:
    if by.is_staff:
        wanted = state or ("open" if record.state == "new" else record.state)
    elif state is not None:
        raise Invalid({"state": _("The state is not yours to set.")})
    else:
        wanted = "open" if record.state in ("waiting", *DONE) else record.state
    if wanted != record.state:
        _move(record, by, wanted)


def _mail(record: Record, by: Viewer, template: str, body: str) -> None:
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


def _link(record: Record, by: Viewer, article: Article) -> None:
    if db.session.get(ArticleLink, (record.id, article.id)) is None:
        db.session.add(ArticleLink(record_id=record.id, article_id=article.id, by_id=by.user_id))


def _readable_article(article_id: object, by: Viewer) -> Article | None:
    wanted = whole(article_id)
    if wanted is None:
        return None
    found = db.session.scalar(select_readable_articles(by).where(Article.id == wanted))
    if found is None:
        raise Invalid({"": _("There is no such article.")})
    return cast("Article", found)


def _check(fields: Mapping[str, Any], *, by: Viewer, is_new: bool, record: Record | None = None) -> dict[str, Any]:
    """Return clean values of the given fields, or raise `Invalid` with all that is wrong."""
    allowed = DECLARED if by.is_staff else CUSTOMERS_MAY_SET
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise Invalid({name: _("This field cannot be set here.") for name in unknown})
    check = Check()
    clean: dict[str, Any] = {}
    for name, (rule, options) in _RULES.items():
        if name in fields or (is_new and name == "subject"):
            clean[name] = check.read(name, rule, fields.get(name), **options)
    _check_references(check, clean, by, record)
    check.finish()
    return clean


def _check_references(check: Check, clean: Mapping[str, Any], by: Viewer, record: Record | None) -> None:
    """Refuse the ids of what does not exist, or is not this viewer's to choose, with one and the same sentence."""
    missing = _("There is no such choice.")
    for name, model in (("product_id", Product), ("customer_id", Customer), ("requester_id", User)):
        if clean.get(name) is not None and db.session.get(model, clean[name]) is None:
            check.refuse(name, missing)
    if clean.get("category_id") is not None:
        category = db.session.get(Category, clean["category_id"])
        if category is None or not may_choose(by, category):
            check.refuse("category_id", missing)
    if clean.get("assignee_id") is not None:
        assignee = db.session.get(User, clean["assignee_id"])
        if assignee is None or not assignee.is_active or assignee.role not in STAFF_ROLES:
            check.refuse("assignee_id", _("There is no such member of staff."))
    customer_id = clean.get("customer_id", record.customer_id if record is not None else None)
    if clean.get("contact_id") is not None:
        contact = db.session.get(Contact, clean["contact_id"])
        if contact is None or contact.customer_id != customer_id:
            check.refuse("contact_id", _("There is no such contact at this customer."))


def may_choose(viewer: Viewer, category: Category) -> bool:
    """Say whether a viewer may file a record under a category: internal ones are for staff."""
    return viewer.is_staff or narrowest(category.audience, category.effective_audience) != Audience.INTERNAL


def _apply(record: Record, clean: Mapping[str, Any]) -> set[str]:
    changed = set()
    for name in _PLAIN:
        if name in clean and getattr(record, name) != clean[name]:
            setattr(record, name, clean[name])
            changed.add(name)
    if "customer_id" in changed and "contact_id" not in clean and record.contact_id is not None:
        # A contact belongs to the customer that the record has just left.
        record.contact_id = None
    if "tags" in clean:
        tags = list(dict.fromkeys(find_or_create(Tag, clean["tags"]).values()))
        if set(record.tags) != set(tags):
            record.tags = tags
            changed.add("tags")
    return changed


# Imports

_META_TEXTS = ("kind", "state", "priority", "serial_number", "resolution")
_META_WORDS = ("customer", "product", "category")
_META_MOMENTS = ("created_at", "updated_at", "resolved_at", "closed_at")
_ALIASES = {"tag": "tags", "products": "product", "serial": "serial_number"}
_IMPORT_RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    **{name: _RULES[name] for name in ("kind", "subject", "description", "language", "serial_number", "priority")},
    "state": (choice, {"choices": STATES}),
    "resolution": (text, {"most": LONGEST_TEXT}),
    "tags": _RULES["tags"],
    **{name: (text, {"most": 200 if name == "customer" else 120, "is_line": True}) for name in _META_WORDS},
    **{name: (moment, {}) for name in _META_MOMENTS},
    "assignee": (text, {"most": 254, "is_line": True}),
    "requester": (text, {"most": 254, "is_line": True}),
}
MOST_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class _Step:
    """One imported entry, checked."""

    kind: str
    body: str
    at: datetime | None
    by: str
    author: str
    is_from_customer: bool
    old_state: str | None
    new_state: str | None


@dataclass(slots=True)
class _Line:
    external_id: str
    clean: dict[str, Any]
    meta: dict[str, Any]
    steps: list[_Step]
    digest: str = ""
    left_out: list[str] = field(default_factory=list)


def import_batch(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool = False
) -> list[Outcome]:
    """Make or update records from import lines `{"id", "title", "text", "lang", "url", "meta": {…}}`.

    A line's `id` is its external id, unique within the source.  `title` is the subject and `text` the description;
    `meta` may hold kind, state (closed when it is left out: imports are past cases), priority, customer (external id
    in the same source, or name), product, category, tags, serial_number, resolution, assignee and requester (e-mail of
    an account), created_at, updated_at, resolved_at, closed_at and
    entries (`{"kind": "reply"|"note"|"state", "body", "at", "by" (e-mail of an account), "author", "from":
    "customer"|"staff", "old_state", "new_state"}`); what else it holds is kept.

    A line equal to the one imported before changes nothing; a changed one updates the fields it names and adds the
    entries that are new.  Products, categories and tags that do not exist are made; a customer or account that does
    not exist is left out, kept in `meta` and named in the outcome.  Commits the whole batch with its outbox rows and
    one audit entry, or nothing with `dry_run`; a refused line loses no other.  Give batches of some hundred lines.
    """
    try:
        outcomes = _import_lines(lines, source=source, by=by, dry_run=dry_run)
    except IntegrityError:
        # Somebody else imported one of these lines at the same moment: it now exists, so a second try updates it.
        db.session.rollback()
        outcomes = _import_lines(lines, source=source, by=by, dry_run=dry_run)
    outbox.nudge()
    return outcomes


@dataclass(frozen=True, slots=True)
class _Known:
    """What the lines of a batch speak of, by the names they use."""

    customers: Mapping[str, int]
    users: Mapping[str, User]
    products: Mapping[str, Product]
    categories: Mapping[str, Category]
    tags: Mapping[str, Tag]


def _import_lines(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool
) -> list[Outcome]:
    prepared = [_prepare(line) for line in lines]
    good = [one for one in prepared if isinstance(one, _Line)]
    known = _load_known(good, source)
    for line in good:
        _resolve(line, known)
    held = _load_held(source, [line.external_id for line in good])
    missing = dict.fromkeys(line.external_id for line in good if line.external_id not in held)
    numbers = iter(_numbers(len(missing)) if missing else ())
    done: list[tuple[Status, Record | None, str]] = []
    touched: dict[str, Record] = {}
    with db.session.no_autoflush:
        for one in prepared:
            if isinstance(one, str):
                done.append(("refused", None, one))
                continue
            record = held.get(one.external_id)
            if record is not None and record.digest == one.digest:
                done.append(("unchanged", record, ""))
                continue
            status: Status = "updated"
            if record is None:
                status = "created"
                record = held[one.external_id] = Record(
                    number=next(numbers), source=source, external_id=one.external_id, state="closed", entries=[]
                )
            _write_line(record, one, known)
            touched[one.external_id] = record
            done.append((status, record, " ".join(one.left_out)))
    db.session.add_all(touched.values())
    if touched:
        outbox.record(*touched.values(), bulk=True)
        audit.append("record.imported", by=by, kind="record", details={"source": source, "records": len(touched)})
    outcomes = [Outcome(status, record.id if record else None, reason) for status, record, reason in done]
    if dry_run:
        db.session.rollback()
        return [Outcome(o.outcome, None if o.outcome == "created" else o.id, o.reason) for o in outcomes]
    db.session.commit()
    return outcomes


def _load_held(source: str, ids: Sequence[str]) -> dict[str, Record]:
    rows = db.session.scalars(
        select(Record)
        .where(Record.source == source, Record.external_id.in_(ids))
        .options(selectinload(Record.entries), selectinload(Record.tags))
    )
    return {str(record.external_id): record for record in rows}


def _load_known(lines: Sequence[_Line], source: str) -> _Known:
    def named(name: str) -> set[str]:
        return {line.clean[name] for line in lines if line.clean.get(name)}

    called = named("customer")
    customers: dict[str, int] = {}
    if called:
        by_name = select(Customer.name, Customer.id).where(Customer.name.in_(called)).order_by(Customer.id.desc())
        by_id = select(Customer.external_id, Customer.id).where(
            Customer.source == source, Customer.external_id.in_(called)
        )
        customers = {row[0]: row[1] for row in [*db.session.execute(by_name), *db.session.execute(by_id)]}
    addresses = named("assignee") | named("requester") | {step.by for line in lines for step in line.steps if step.by}
    wanted = {address.casefold() for address in addresses}
    users = db.session.scalars(select(User).where(User.email.in_(wanted))).all() if wanted else []
    return _Known(
        customers=customers,
        users={user.email: user for user in users},
        products=_load_words(Product, named("product")),
        categories=_load_words(Category, named("category")),
        tags=find_or_create(Tag, {tag for line in lines for tag in line.clean.get("tags") or ()}),
    )


def _load_words(model: type[Word], names: Collection[str]) -> dict[str, Word]:
    """Return categories or products by slug or name; what is neither is made under that name."""
    by_slug = {word.slug: word for word in db.session.scalars(select(model).where(model.slug.in_(names)))}
    return by_slug | find_or_create(model, sorted(set(names) - by_slug.keys()))


def _resolve(line: _Line, known: _Known) -> None:
    """Put ids in the place of names, and take the digest over what is then known of the line."""
    clean = line.clean
    for name, held in (("product", known.products), ("category", known.categories)):
        if name in clean:
            called = clean.pop(name)
            clean[f"{name}_id"] = held[called].id if called else None
    if called := clean.pop("customer", None):
        clean["customer_id"] = known.customers.get(called)
        if clean["customer_id"] is None:
            line.meta["customer"] = called
            line.left_out.append(
                _("There is no customer %(name)s; the record was taken without one.", name=repr(called))
            )
    for name in ("assignee", "requester"):
        if address := clean.pop(name, None):
            user = known.users.get(address.casefold())
            if user is None or (name == "assignee" and user.role not in STAFF_ROLES):
                line.meta[name] = address
                line.left_out.append(_("%(field)s: there is no account for it; it was left out.", field=name))
            else:
                clean[f"{name}_id"] = user.id
    authors = [known.users[step.by.casefold()].id for step in line.steps if step.by.casefold() in known.users]
    shape = json.dumps(
        [clean, line.meta, [_step_key(step) for step in line.steps], authors], sort_keys=True, default=str
    )
    line.digest = hashlib.sha256(shape.encode()).hexdigest()


def _step_key(step: _Step | Entry) -> tuple[str, str, str, str]:
    at = step.at.isoformat() if step.at is not None else ""
    return step.kind, at, hashlib.sha256(step.body.encode()).hexdigest(), step.new_state or ""


def _write_line(record: Record, line: _Line, known: _Known) -> None:
    for name, value in line.clean.items():
        if name == "tags":
            record.tags = list(dict.fromkeys(known.tags[tag] for tag in value))
        elif value is not None or not name.endswith("_at"):
            setattr(record, name, value)
    at = now()
    record.created_at = record.created_at or at
    if "updated_at" not in line.clean:
        steps_at = [step.at for step in line.steps if step.at is not None]
        record.updated_at = max([record.created_at, *steps_at]) if record.id is None else at
    if record.state in DONE and record.resolved_at is None:
        record.resolved_at = record.updated_at
    record.meta, record.digest = line.meta, line.digest
    present = {_step_key(entry) for entry in record.entries}
    for step in line.steps:
        entry = _entry_of(step, record, known)
        if _step_key(entry) not in present:
            record.entries.append(entry)


def _entry_of(step: _Step, record: Record, known: _Known) -> Entry:
    user = known.users.get(step.by.casefold()) if step.by else None
    return Entry(
        kind=step.kind,
        body=step.body,
        at=step.at or record.created_at,
        by_id=user.id if user is not None else None,
        author=step.author,
        is_from_customer=user.role == Role.CUSTOMER if user is not None else step.is_from_customer,
        is_internal=step.kind == "note",
        old_state=step.old_state,
        new_state=step.new_state,
    )


def _prepare(line: Mapping[str, Any]) -> _Line | str:
    """Return a checked line, or the sentence that refuses it."""
    check = Check()
    external_id = check.read("id", text, line.get("id"), most=200, required=True, is_line=True)
    meta = line.get("meta") or {}
    if not isinstance(meta, Mapping):
        return str(_("meta: This must be an object."))
    meta = {_ALIASES.get(str(name), str(name)): value for name, value in meta.items()}
    given = {"subject": line.get("title") or line.get("subject")}
    given |= {name: line[key] for name, key in (("description", "text"), ("language", "lang")) if line.get(key)}
    given |= {name: meta.pop(name) for name in list(meta) if name in _IMPORT_RULES and name not in given}
    if isinstance(given.get("product"), list) and given["product"]:
        # A record is about one product; the others are kept as they came.
        meta["products"] = given["product"]
        given["product"] = given["product"][0]
    clean = {}
    for name, value in given.items():
        if value not in (None, "") or name == "subject":
            rule, options = _IMPORT_RULES[name]
            clean[name] = check.read(name, rule, value, **options)
    steps = _prepare_steps(check, meta.pop("entries", None))
    if line.get("url"):
        meta["url"] = line["url"]
    kept = check.read("meta", extra, meta)
    if check.errors:
        return " ".join(f"{name}: {sentence}" for name, sentence in check.errors.items())
    return _Line(external_id or "", clean, kept or {}, steps)


def _prepare_steps(check: Check, value: object) -> list[_Step]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value) or len(value) > MOST_ENTRIES:
        check.refuse("entries", _("This must be a list of at most %(most)s objects.", most=MOST_ENTRIES))
        return []
    return [_prepare_step(check, f"entries {place}", one) for place, one in enumerate(value, start=1)]


def _prepare_step(check: Check, name: str, given: Mapping[str, Any]) -> _Step:
    state, old = given.get("new_state", given.get("state")), given.get("old_state")
    kind = check.read(f"{name} kind", choice, given.get("kind", "reply"), ("reply", "note", "state")) or ""
    return _Step(
        kind=kind,
        body=check.read(f"{name} body", text, given.get("body"), most=LONGEST_TEXT, required=kind != "state") or "",
        at=check.read(f"{name} at", moment, given.get("at")),
        by=check.read(f"{name} by", text, given.get("by"), most=254, is_line=True) or "",
        author=check.read(f"{name} author", text, given.get("author"), most=120, is_line=True) or "",
        is_from_customer=given.get("from") == "customer",
        old_state=check.read(f"{name} old_state", choice, old, STATES) if kind == "state" and old else None,
        new_state=check.read(f"{name} new_state", choice, state, STATES) if kind == "state" and state else None,
    )
