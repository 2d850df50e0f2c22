"""Service records: opening, answering, moving and importing them.

Every operation begins by raising the record's outbox row.  That row is the first lock everybody takes, so that two
people who answer one record at the same moment do so one after the other, on both databases, and both are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TypedDict, Unpack, cast

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from portal import audit, outbox
from portal.access import Audience, Permission, Role, Viewer, narrowest
from portal.accounts.models import User
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.customers import points
from portal.customers.models import Contact, Customer
from portal.declared import Check, choice, language, looked_for, text, whole, words
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
RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
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
    record = Record(number=take_numbers(1)[0], submission=key, state="new")
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
    clean = _check(fields, by=by, is_new=False, record=record)
    solved = _resolution(resolution) if resolution is not None else None
    with _changing(record, by) as record:
        if record.version != version:
            raise Conflict(
                _("Somebody saved a newer version of %(number)s. Compare both and save again.", number=record.number),
                current=shape(record),
                given=fields,
            )
        changed = {*_apply(record, clean)}
        if solved is not None:
            changed.add("resolution")
            _solve(record, by, solved)
        if state is not None and state != record.state:
            changed.add("state")
            _move(record, by, state)
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
        _solve(record, by, clean or "")
        if article is not None:
            _link(record, by, article)
        record.updated_at = now()
        audit.append("record.resolved", by=by, kind="record", object_id=record.id)
        db.session.commit()
    outbox.nudge()
    return record


def _resolution(typed: str) -> str:
    check = Check()
    clean = check.read("resolution", text, typed, most=LONGEST_TEXT, required=True)
    check.finish()
    return clean or ""


def _solve(record: Record, by: Viewer, resolution: str) -> None:
    """Write down what solved a record, move it to resolved, and queue the mail to whoever asked."""
    record.resolution = resolution
    if record.state != "resolved":
        _move(record, by, "resolved", body=resolution)
    _mail(record, by, "record_resolved", resolution)


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
    wanted = Record.id == number if isinstance(number, int) else Record.number == looked_for(number, most=20).upper()
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


def take_numbers(count: int) -> list[str]:
    """Take the next record numbers.  The counter's row is the lock; a number that is not used stays a gap."""
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(RecordCounter).values(id=1, last=count)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"last": RecordCounter.last + count})
    last = db.session.execute(statement.returning(RecordCounter.last)).scalar_one()
    return [f"R-{number:06d}" for number in range(last - count + 1, last + 1)]


def _submission_key(by: Viewer, submission: str | None) -> str | None:
    """Return the name of a sending, bound to its sender: nobody can ask for another's."""
    name = looked_for(submission or "", most=80)
    return f"{by.user_id}:{name}" if name else None


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
    for name, (rule, options) in RULES.items():
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
