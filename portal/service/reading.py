"""What of records a viewer may read: a record, its timeline, its files and what is linked with it."""

from collections.abc import Sequence
from typing import cast

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from portal.access import Viewer
from portal.accounts.models import User
from portal.attachments import attachments
from portal.attachments.models import Attachment
from portal.declared import looked_for
from portal.errors import Missing
from portal.extensions import db
from portal.knowledge.findable import select_readable as select_readable_articles
from portal.knowledge.models import Article
from portal.service.fields import STAFF_ROLES
from portal.service.findable import select_readable
from portal.service.models import ArticleLink, Entry, Record, RecordLink


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
