"""Who else is looking: which colleagues have a record open at this moment, and which of them is writing an answer.

Pages tell it every few seconds.  What they tell lives in SQL, so that it holds over all web processes, and is worth
nothing half a minute later: no outbox row and no audit entry speak of it, and no customer ever sees it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError

from portal.access import Permission, Viewer
from portal.accounts.models import User
from portal.errors import Missing
from portal.extensions import db, now
from portal.service.models import Presence, Record

EVERY_S = 12
"""How often an open page tells that it is open."""
LIVES = timedelta(seconds=40)
"""How long one telling counts: three may be lost."""


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody else who has the record open."""

    name: str
    is_answering: bool


def note(record: Record, *, by: Viewer, is_answering: bool) -> None:
    """Note that somebody has a record open, or is answering it, and commit.  What has run out of it is forgotten.

    A database that cannot be written at the moment refuses nobody the page.

    Raises:
        Forbidden: the viewer does not work on records.
        Missing: the record was deleted in between.
    """
    by.require(Permission.WORK_RECORDS)
    at = now()
    values = {"record_id": record.id, "user_id": by.user_id, "seen_at": at}
    told = {"seen_at": at} | ({"answering_at": at} if is_answering else {})
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Presence).values(**(values | told))
    try:
        db.session.execute(statement.on_conflict_do_update(index_elements=["record_id", "user_id"], set_=told))
        db.session.execute(delete(Presence).where(Presence.record_id == record.id, Presence.seen_at < at - LIVES))
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise Missing(_("There is no such record.")) from None
    except OperationalError:
        db.session.rollback()


def leave(record: Record, *, by: Viewer) -> None:
    """Forget at once, and commit, that somebody had a record open."""
    try:
        db.session.execute(delete(Presence).where(Presence.record_id == record.id, Presence.user_id == by.user_id))
        db.session.commit()
    except OperationalError:
        db.session.rollback()


def load_colleagues(viewer: Viewer, record: Record) -> Sequence[Colleague]:
    """Return who else has a record open, whoever is answering first; nobody to those who do not work on records."""
    if not viewer.can(Permission.WORK_RECORDS):
        return []
    since = now() - LIVES
    rows = db.session.execute(
        select(User.name, Presence.answering_at)
        .join(User, User.id == Presence.user_id)
        .where(
            Presence.record_id == record.id,
            Presence.user_id != viewer.user_id,
            Presence.seen_at > since,
            User.is_active.is_(True),
        )
    )
    found = [Colleague(name, answering_at is not None and answering_at > since) for name, answering_at in rows]
    return sorted(found, key=lambda one: (not one.is_answering, one.name.lower()))


def forget_old() -> None:
    """Delete and commit what has run out on records that nobody opens any more."""
    db.session.execute(delete(Presence).where(Presence.seen_at < now() - LIVES))
    db.session.commit()
