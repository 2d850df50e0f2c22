"""API tokens, and the one-time tokens of invitations, resets and second steps.  All are stored as hashes."""

import secrets
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from portal import audit
from portal.access import Viewer
from portal.accounts.models import APIToken, OneTimeToken, User
from portal.accounts.sessions import SEEN_EVERY, TOKEN_BYTES, digest, select_by_token
from portal.extensions import count_affected, db, now

PREFIX = "cb_"
"""Lets scanners of leaked secrets recognise an API token."""
LIFETIMES = {
    "invitation": timedelta(minutes=60),
    "reset": timedelta(minutes=30),
    "code": timedelta(minutes=10),
}

# Every request of a program asks, so the statement is made once.
_VALID = select_by_token(APIToken).where(APIToken.revoked_at.is_(None))


def create(user: User, *, name: str, by: Viewer | None, lifetime: timedelta | None = None) -> str:
    """Make an API token that may do what its owner may, commit, and return it: it is shown once and never again."""
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    row = APIToken(
        user_id=user.id,
        name=name.strip()[:120],
        token_hash=digest(token),
        epoch=user.epoch,
        expires_at=now() + lifetime if lifetime else None,
    )
    db.session.add(row)
    db.session.flush()
    audit.append("token.created", by=by, kind="user", object_id=user.id, details={"token": row.id, "name": row.name})
    db.session.commit()
    return token


def find(token: str) -> APIToken | None:
    """Return the valid API token of this text: not revoked, not expired, of its active owner's present epoch."""
    found: APIToken | None = db.session.execute(_VALID, {"token_hash": digest(token)}).scalar_one_or_none()
    if found is None or (found.expires_at is not None and found.expires_at <= now()):
        return None
    return found


def used(found: APIToken) -> None:
    """Note, now and then, that a token was used."""
    if found.last_used_at is not None and found.last_used_at + SEEN_EVERY > now():
        return
    try:
        db.session.execute(update(APIToken).where(APIToken.id == found.id).values(last_used_at=now()))
        db.session.commit()
    except OperationalError:
        db.session.rollback()


def tokens_of(user: User) -> list[APIToken]:
    """Load a user's valid API tokens, the newest first."""
    rows = db.session.execute(
        select(APIToken)
        .where(APIToken.user_id == user.id, APIToken.epoch == user.epoch, APIToken.revoked_at.is_(None))
        .order_by(APIToken.id.desc())
    ).scalars()
    return [row for row in rows if row.expires_at is None or row.expires_at > now()]


def revoke(token: APIToken, *, by: Viewer | None) -> None:
    """Void an API token and commit."""
    token.revoked_at = now()
    audit.append("token.revoked", by=by, kind="user", object_id=token.user_id, details={"token": token.id})
    db.session.commit()


def issue(user: User, purpose: str) -> str:
    """Add a one-time token to the caller's transaction, voiding earlier ones of its purpose, and return it."""
    db.session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user.id, OneTimeToken.purpose == purpose))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    db.session.add(
        OneTimeToken(purpose=purpose, user_id=user.id, token_hash=digest(token), expires_at=now() + LIFETIMES[purpose])
    )
    return token


def owner_of(token: str, purpose: str) -> User | None:
    """Return whose unused one-time token this is, without using it."""
    return db.session.execute(
        select(User)
        .join(OneTimeToken, OneTimeToken.user_id == User.id)
        .where(
            OneTimeToken.token_hash == digest(token),
            OneTimeToken.purpose == purpose,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > now(),
            User.is_active,
        )
    ).scalar_one_or_none()


def use(token: str, purpose: str) -> User | None:
    """Use a one-time token up, in the caller's transaction, and return its owner; None where another was first.

    The update comes first and decides: of two requests with one token, one wins.
    """
    changed = db.session.execute(
        update(OneTimeToken)
        .where(
            OneTimeToken.token_hash == digest(token),
            OneTimeToken.purpose == purpose,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > now(),
        )
        .values(used_at=now())
        .execution_options(synchronize_session=False)
    )
    if not count_affected(changed):
        return None
    return db.session.execute(
        select(User)
        .join(OneTimeToken, OneTimeToken.user_id == User.id)
        .where(OneTimeToken.token_hash == digest(token), User.is_active)
    ).scalar_one_or_none()


def forget(user: User) -> None:
    """Void, in the caller's transaction, every one-time token of a user."""
    db.session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user.id))


def forget_old() -> int:
    """Delete and commit the one-time tokens that have run out; returns how many they were."""
    deleted = db.session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at < now()))
    db.session.commit()
    return count_affected(deleted)
