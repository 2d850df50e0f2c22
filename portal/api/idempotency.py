"""A repeated write with the same `Idempotency-Key` is answered again and not done again.

The key is taken before the write.  The write's own transaction notes which object it concerned, so that even a process
that dies between its commit and its answer leaves enough behind to answer the repetition.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Response, jsonify, make_response, request
from flask_babel import gettext
from sqlalchemy import ColumnElement, and_, delete, event, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import outbox
from portal.accounts.guard import current_viewer
from portal.api.models import IdempotencyKey
from portal.errors import Invalid, OperationError
from portal.extensions import count_affected, db, now

View = TypeVar("View", bound=Callable[..., Any])
HEADER = "Idempotency-Key"
LONGEST_KEY = 200
ABANDONED = timedelta(seconds=60)
KEPT = timedelta(days=7)
ACTIVE = "casebook.idempotency"


@dataclass(frozen=True, slots=True)
class Taken:
    """A key that this request holds, since a moment that tells it from another request that took the key over."""

    id: int
    since: datetime

    def is_ours(self) -> ColumnElement[bool]:
        """Return the condition of the key's row while nobody else has taken it."""
        return and_(IdempotencyKey.id == self.id, IdempotencyKey.created_at == self.since)


class InProgress(OperationError):
    """The same request is being done at this moment."""

    status = 409
    code = "in_progress"


def idempotent(view: View) -> View:
    """Let callers repeat a write safely.  The view answers `(object, status, headers)` or `(object, status)`."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None:
            return view(*args, **kwargs)
        taken = _take(key)
        if isinstance(taken, Response):
            return taken
        db.session.info[ACTIVE] = taken
        try:
            answer = view(*args, **kwargs)
        except Exception:
            db.session.rollback()
            db.session.info.pop(ACTIVE, None)
            db.session.execute(delete(IdempotencyKey).where(taken.is_ours(), IdempotencyKey.reference.is_(None)))
            db.session.commit()
            raise
        finally:
            db.session.info.pop(ACTIVE, None)
        return _keep(taken, answer)

    return cast("View", guarded)


@event.listens_for(Session, "before_commit")
def _note_reference(session: Session) -> None:
    """Write down, in the transaction of the write itself, which object it concerned.

    Raises:
        InProgress: this process slept so long that another took the key over; what it was about to write is not.
    """
    taken: Taken | None = session.info.get(ACTIVE)
    recorded = session.info.get(outbox.RECORDED)
    if taken is not None and recorded:
        kind, object_id = min(recorded)
        noted = session.execute(
            update(IdempotencyKey)
            .where(taken.is_ours())
            .values(reference=f"{kind}:{object_id}")
            .execution_options(synchronize_session=False)
        )
        if count_affected(noted) == 0:
            raise InProgress(gettext("The first request with this key has not ended yet. Try again in a moment."))


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{request.method} {request.path}\0".encode())
    digest.update(request.get_data(cache=True))
    return digest.hexdigest()


def _take(key: str) -> Taken | Response:
    """Return the key, now ours, or the answer that the first request got.

    Raises:
        Invalid: the key cannot be used, or belongs to another request.
        InProgress: the first request has not ended yet.
    """
    if not key.isascii() or not key.isprintable() or not 1 <= len(key) <= LONGEST_KEY:
        raise Invalid({HEADER: gettext("%(name)s: use 1 to %(most)s plain characters.", name=HEADER, most=LONGEST_KEY)})
    owner, fingerprint = f"user:{current_viewer().user_id}", _fingerprint()
    row = IdempotencyKey(owner=owner, key=key, fingerprint=fingerprint, created_at=now())
    db.session.add(row)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return _repeat(owner, key, fingerprint)
    return Taken(row.id, row.created_at)


def _repeat(owner: str, key: str, fingerprint: str) -> Taken | Response:
    found = db.session.scalars(
        select(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key)
    ).one()
    if found.fingerprint != fingerprint:
        raise Invalid({HEADER: gettext("%(name)s was used for another request. Choose a new one.", name=HEADER)})
    if found.status is not None:
        answer = make_response(jsonify(found.body) if found.body is not None else "", found.status)
    elif found.reference is not None:
        answer = make_response(jsonify({"reference": found.reference}), 200)
    else:
        taken = Taken(found.id, now())
        retaken = db.session.execute(
            update(IdempotencyKey)
            .where(
                IdempotencyKey.id == taken.id,
                # One that was taken later than now was taken by a clock that was wrong.
                or_(
                    IdempotencyKey.created_at < taken.since - ABANDONED,
                    IdempotencyKey.created_at > taken.since + ABANDONED,
                ),
                # It may have been done just now, between the look at it and this statement.
                IdempotencyKey.reference.is_(None),
                IdempotencyKey.status.is_(None),
            )
            .values(created_at=taken.since)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()
        if count_affected(retaken):
            return taken
        raise InProgress(gettext("The first request with this key has not ended yet. Try again in a moment."))
    if found.location:
        answer.headers["Location"] = found.location
    answer.headers["Idempotency-Replayed"] = "true"
    return answer


def _keep(taken: Taken, answer: Any) -> Any:
    body, status, headers = answer if len(answer) == 3 else (*answer, {})
    db.session.execute(
        update(IdempotencyKey)
        .where(taken.is_ours())
        .values(status=status, body=body or None, location=headers.get("Location"))
    )
    db.session.commit()
    return answer


def forget_old() -> int:
    """Delete keys older than a week and commit; returns how many."""
    gone = db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEPT))
    db.session.commit()
    return count_affected(gone)
