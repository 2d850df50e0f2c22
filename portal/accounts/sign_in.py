"""Signing in: a password, for staff a code, and an answer that tells nobody whether an account exists."""

from dataclasses import dataclass

from sqlalchemy import select

from portal import audit
from portal.accounts import limits, passwords, second_factor, sessions, tokens
from portal.accounts.models import User
from portal.extensions import db


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is at the other end of the line, as far as the line tells."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What signing in led to: a session's token, or a token with which to give the code."""

    session_token: str | None = None
    code_token: str | None = None


def normal_email(text: str) -> str:
    """Return an address as accounts keep it."""
    return text.strip().lower()


def find_user(email: str) -> User | None:
    """Load the account of an address."""
    normal = normal_email(email)
    if not normal or len(normal) > 254 or "\0" in normal:
        return None
    return db.session.scalars(select(User).where(User.with_email(normal))).one_or_none()


def with_password(*, email: str, password: str, caller: Caller, is_remembered: bool) -> Outcome | None:
    """Judge an address and a password, and commit.  None where they do not belong together, whatever the reason.

    Raises:
        TooManyAttempts: there were too many guesses; this one was not judged.
    """
    guess = limits.count("password", account=normal_email(email), address=caller.address)
    user = find_user(email)
    usable = user if user is not None and user.is_active else None
    is_right = len(password) <= passwords.LONGEST and passwords.is_right(
        password, usable.password_hash if usable else None
    )
    if usable is None or not is_right:
        if len(password) > passwords.LONGEST:
            passwords.is_right("", None)
        return None
    limits.forgive(guess)
    if usable.password_hash and passwords.is_outdated(usable.password_hash):
        usable.password_hash = passwords.hash_of(password)
    if usable.totp_secret is not None:
        outcome = Outcome(code_token=tokens.issue(usable, "code"))
        db.session.commit()
        return outcome
    return _begin(usable, caller=caller, is_remembered=is_remembered)


def with_code(*, code_token: str, code: str, caller: Caller, is_remembered: bool) -> Outcome | None:
    """Judge the code after a right password, and commit.  None where it is wrong or was used before.

    Raises:
        TooManyAttempts: there were too many guesses; this one was not judged.
        LookupError: the password was given too long ago; begin again.
    """
    user = tokens.owner_of(code_token, "code")
    if user is None:
        raise LookupError("the password was given too long ago")
    guess = limits.count("code", account=str(user.id), address=caller.address)
    if not second_factor.accept(user, code) or tokens.use(code_token, "code") is None:
        db.session.rollback()
        return None
    limits.forgive(guess)
    return _begin(user, caller=caller, is_remembered=is_remembered)


def prove(user: User, password: str, *, caller: Caller) -> bool:
    """Judge the password of somebody who is signed in, before something that a borrowed screen must not do.

    Raises:
        TooManyAttempts: there were too many guesses; this one was not judged.
    """
    guess = limits.count("password", account=user.email, address=caller.address)
    if len(password) > passwords.LONGEST or not passwords.is_right(password, user.password_hash):
        return False
    limits.forgive(guess)
    db.session.commit()
    return True


def _begin(user: User, *, caller: Caller, is_remembered: bool) -> Outcome:
    token = sessions.start(user, agent=caller.agent, is_remembered=is_remembered)
    audit.append("user.signed_in", by=user.viewer, kind="user", object_id=user.id)
    db.session.commit()
    return Outcome(session_token=token)
