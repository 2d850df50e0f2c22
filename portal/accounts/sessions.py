"""Sessions on the server.  The cookie holds a random token, the table its hash: deleting the row ends the session.

A user's epoch ends everything at once: sessions and API tokens carry the epoch they were made in, and an older one
opens nothing.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import contains_eager

from portal.accounts.models import APIToken, User, UserSession
from portal.extensions import count_affected, db, now

TOKEN_BYTES = 32
SEEN_EVERY = timedelta(minutes=5)
"""How exact "last seen" is: a page that only reads writes at most this often."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long a session lasts: unused, and at all."""

    idle: timedelta
    whole: timedelta


SHORT = Span(idle=timedelta(hours=12), whole=timedelta(days=2))
LONG = Span(idle=timedelta(days=14), whole=timedelta(days=60))


def select_by_token(model: type[UserSession] | type[APIToken]) -> Select[Any]:
    """Select what a token opens by its hash, `token_hash`: only in its active owner's present epoch."""
    return (
        select(model)
        .join(model.user)
        .options(contains_eager(model.user))
        .where(model.token_hash == bindparam("token_hash"), model.epoch == User.epoch, User.is_active)
    )


# Every page asks, so the statement is made once.
_LIVING = select_by_token(UserSession).where(
    UserSession.expires_at > bindparam("now", type_=UserSession.expires_at.type)
)


def digest(token: str) -> str:
    """Return what is stored of a random token.  It has 256 bits, so a plain hash is enough."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def start(user: User, *, agent: str = "", is_remembered: bool = False) -> str:
    """Add a session to the caller's transaction and return its token, which is stored nowhere."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    span = LONG if is_remembered else SHORT
    db.session.add(
        UserSession(
            token_hash=digest(token),
            user=user,
            epoch=user.epoch,
            is_remembered=is_remembered,
            agent=agent[:200],
            expires_at=now() + span.whole,
        )
    )
    user.last_seen_at = now()
    return token


def find(token: str) -> UserSession | None:
    """Return the living session of a token: not expired, not idle, of the user's present epoch, of an active user."""
    if not token or len(token) > 2 * TOKEN_BYTES:
        return None
    found: UserSession | None = db.session.execute(
        _LIVING, {"token_hash": digest(token), "now": now()}
    ).scalar_one_or_none()
    if found is None:
        return None
    span = LONG if found.is_remembered else SHORT
    return found if found.last_seen_at + span.idle > now() else None


def saw(found: UserSession) -> None:
    """Note, now and then, that a session was used.  A database that cannot be written refuses nobody a page."""
    if found.last_seen_at + SEEN_EVERY > now():
        return
    try:
        for model, key in ((UserSession, found.id), (User, found.user_id)):
            db.session.execute(update(model).where(model.id == key).values(last_seen_at=now()))
        db.session.commit()
    except OperationalError:
        db.session.rollback()


def end(token: str) -> None:
    """Delete and commit the session of a token, so that a copy of its cookie opens nothing."""
    db.session.execute(delete(UserSession).where(UserSession.token_hash == digest(token)))
    db.session.commit()


def end_one(user: User, session_id: int) -> bool:
    """Delete and commit one of a user's sessions; False where it is not theirs or gone."""
    deleted = db.session.execute(
        delete(UserSession).where(UserSession.id == session_id, UserSession.user_id == user.id)
    )
    db.session.commit()
    return bool(count_affected(deleted))


def end_all(user: User) -> None:
    """Void, in the caller's transaction, every session and API token of a user."""
    user.epoch = User.epoch + 1
    db.session.flush()
    db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    db.session.execute(
        update(APIToken).where(APIToken.user_id == user.id, APIToken.revoked_at.is_(None)).values(revoked_at=now())
    )


def end_everybodys() -> int:
    """Delete, in the caller's transaction, every session there is; return how many."""
    deleted = db.session.execute(delete(UserSession))
    return count_affected(deleted)


def sessions_of(user: User) -> list[UserSession]:
    """Load a user's living sessions, the last used first."""
    rows = db.session.execute(
        select(UserSession)
        .where(UserSession.user_id == user.id, UserSession.epoch == user.epoch, UserSession.expires_at > now())
        .order_by(UserSession.last_seen_at.desc())
    ).scalars()
    return [row for row in rows if row.last_seen_at + (LONG if row.is_remembered else SHORT).idle > now()]


def forget_old() -> int:
    """Delete and commit the sessions that have run out; returns how many they were."""
    deleted = db.session.execute(delete(UserSession).where(UserSession.expires_at < now()))
    db.session.commit()
    return count_affected(deleted)
