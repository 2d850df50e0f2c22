"""How often somebody may guess, counted in SQL so that it holds for any number of processes and without the queue.

A guess is counted before it is judged and forgiven when it was right.  So fifty guesses at once are fifty counts in a
row, and no more of them are judged than the limit allows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from flask import current_app
from sqlalchemy import ColumnElement, delete, func, or_, select, text

from portal.accounts.models import SignInAttempt
from portal.encryption import blind_index
from portal.extensions import count_affected, db, now
from portal.settings import Settings

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 5
PER_ADDRESS = 50
IN_TOTAL = 3000
"""Guesses within `WINDOW`."""


class TooManyAttempts(Exception):
    """The limit is reached; `retry_after_s` says when the next guess will be judged."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts; the next is judged in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Guess:
    """A counted guess."""

    ids: tuple[int, ...]
    account_bucket: str


def count(purpose: str, *, account: str, address: str) -> Guess:
    """Count a guess against the account, the address and the total, and commit.

    `account` is whatever was typed: an unknown name is counted like a known one.

    Raises:
        TooManyAttempts: a limit is reached; this guess was not counted and must not be judged.
    """
    account_bucket = f"account:{blind_index(f'{purpose} {account}', 'attempts')}"
    limits = {
        account_bucket: PER_ACCOUNT,
        f"address:{blind_index(_network(address), 'attempts')}": PER_ADDRESS,
        "all": IN_TOTAL,
    }
    settings: Settings = current_app.extensions["casebook.settings"]
    if not settings.limits:
        return Guess((), account_bucket)
    at = now()
    _lock(limits)
    db.session.execute(delete(SignInAttempt).where(SignInAttempt.bucket.in_(limits), _is_outside(at)))
    used = {
        bucket: (number, oldest)
        for bucket, number, oldest in db.session.execute(
            select(SignInAttempt.bucket, func.count(), func.min(SignInAttempt.at))
            .where(SignInAttempt.bucket.in_(limits))
            .group_by(SignInAttempt.bucket)
        )
    }
    full = [used[bucket][1] for bucket, limit in limits.items() if bucket in used and used[bucket][0] >= limit]
    if full:
        db.session.rollback()
        raise TooManyAttempts(max(1, int((max(full) + WINDOW - at).total_seconds())))
    rows = [SignInAttempt(bucket=bucket, at=at, reason=purpose) for bucket in limits]
    db.session.add_all(rows)
    db.session.flush()
    ids = tuple(row.id for row in rows)
    db.session.commit()
    return Guess(ids, account_bucket)


def forgive(guess: Guess) -> None:
    """Forget a guess that was right, and the wrong ones on the same account, in the caller's transaction."""
    db.session.execute(
        delete(SignInAttempt)
        .where(SignInAttempt.id.in_(guess.ids) | (SignInAttempt.bucket == guess.account_bucket))
        .execution_options(synchronize_session=False)
    )


def forget_old() -> int:
    """Delete and commit what no limit looks at any more; returns how many rows that were."""
    deleted = db.session.execute(
        delete(SignInAttempt).where(_is_outside(now())).execution_options(synchronize_session=False)
    )
    db.session.commit()
    return count_affected(deleted)


def _is_outside(at: datetime) -> ColumnElement[bool]:
    """Build the condition that a guess counts no more; one far ahead was counted under a clock that was wrong."""
    return or_(SignInAttempt.at < at - WINDOW, SignInAttempt.at > at + WINDOW)


def _lock(buckets: Iterable[str]) -> None:
    """Order the counting of these buckets; SQLite does so by itself, at the DELETE that follows."""
    if db.session.get_bind().dialect.name != "postgresql":
        return
    for bucket in sorted(buckets):
        key = int.from_bytes(sha256(bucket.encode()).digest()[:8], "big", signed=True)
        db.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _network(address: str) -> str:
    """Return what one person holds: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return parsed.exploded[:19]
    return address
