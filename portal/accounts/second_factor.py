"""The second step of signing in: time-based codes that work once, and recovery codes for a lost phone.

A code is also older than the last one that was used, so that what somebody saw on a phone and kept is of no use.  Both
hold where the server's clock was wrong: which codes were used is kept by name, and a last one that lies ahead of the
present was used under a clock that has been put right since; nobody waits until it comes.
"""

import hmac
import secrets

import pyotp
from sqlalchemy import delete, exists, func, or_, select, update

from portal import audit
from portal.access import Viewer
from portal.accounts import sessions
from portal.accounts.models import RecoveryCode, UsedCode, User
from portal.accounts.sessions import digest
from portal.encryption import seal, unseal
from portal.extensions import count_affected, db, now

STEP_S = 30
DRIFT_STEPS = 1
"""A clock may be this many steps off, either way."""
KEPT_STEPS = 24 * 3600 // STEP_S
"""Of how many steps before the last one it is kept which were used; by the clock, three would do."""
RECOVERY_CODES = 10
RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is easily mistaken: 0, o, 1, l, i."""


def reseal(user: User) -> None:
    """Seal the secrets of an account with the secret key of today."""
    for column in ("totp_secret", "totp_pending"):
        sealed = getattr(user, column)
        if sealed is not None:
            setattr(user, column, _sealed(user, column, _opened(user, column, sealed)))


def _sealed(user: User, column: str, secret: str) -> bytes:
    return seal(secret, table="user", column=column, row=user.id)


def _opened(user: User, column: str, sealed: bytes) -> str:
    return unseal(sealed, table="user", column=column, row=user.id)


def prepare(user: User) -> None:
    """Make a secret that waits to be confirmed, and commit.  The present one stays in force until then."""
    user.totp_pending = _sealed(user, "totp_pending", pyotp.random_base32(32))
    db.session.commit()


def pending_secret(user: User) -> str | None:
    """Return the secret that waits to be confirmed, for its owner's eyes."""
    if user.totp_pending is None:
        return None
    return _opened(user, "totp_pending", user.totp_pending)


def address(user: User, secret: str) -> str:
    """Return the `otpauth://` address that an authenticator reads from the picture."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=user.email, issuer_name="Casebook")


def confirm(user: User, code: str, *, by: Viewer) -> list[str] | None:
    """Put the waiting secret in force if the code is right, end everything, commit, and return new recovery codes."""
    secret = pending_secret(user)
    step = _matching_step(secret, code) if secret else None
    if secret is None or step is None:
        return None
    user.totp_secret = _sealed(user, "totp_secret", secret)
    user.totp_last_step = step
    user.totp_pending = None
    db.session.execute(delete(UsedCode).where(UsedCode.user_id == user.id))
    db.session.add(UsedCode(user_id=user.id, step=step))
    codes = _renew_recovery_codes(user)
    sessions.end_all(user)
    audit.append("user.second_factor_set", by=by, kind="user", object_id=user.id)
    db.session.commit()
    return codes


def remove(user: User, *, by: Viewer | None) -> None:
    """Take the second factor away, end everything, and commit."""
    user.totp_secret = user.totp_last_step = user.totp_pending = None
    for kept in (RecoveryCode, UsedCode):
        db.session.execute(delete(kept).where(kept.user_id == user.id))
    sessions.end_all(user)
    audit.append("user.second_factor_removed", by=by, kind="user", object_id=user.id)
    db.session.commit()


def renew_recovery_codes(user: User, *, by: Viewer) -> list[str]:
    """Replace all recovery codes, end everything, commit, and return them: they are shown once."""
    codes = _renew_recovery_codes(user)
    sessions.end_all(user)
    audit.append("user.recovery_codes_renewed", by=by, kind="user", object_id=user.id)
    db.session.commit()
    return codes


def recovery_codes_left(user: User) -> int:
    """Return how many recovery codes have not been used."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(RecoveryCode)
            .where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
        )
        or 0
    )


def accept(user: User, code: str) -> bool:
    """Use a code up, in the caller's transaction; False where it is wrong or was used before.

    The update decides: of two requests with one code, one wins.
    """
    if user.totp_secret is None:
        return False
    step = _matching_step(_opened(user, "totp_secret", user.totp_secret), code)
    if step is not None:
        return _use_up(user, step)
    changed = db.session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_hash == digest(_plain(code)),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now())
    )
    return bool(count_affected(changed))


def _use_up(user: User, step: int) -> bool:
    """Note a step as used; False where it was, or where a later one was that does not lie ahead of the present."""
    last = User.totp_last_step
    was_used = exists().where(UsedCode.user_id == user.id, UsedCode.step == step)
    changed = db.session.execute(
        update(User)
        .where(User.id == user.id, or_(last.is_(None), last < step, last > _present_step() + DRIFT_STEPS), ~was_used)
        .values(totp_last_step=step)
        .execution_options(synchronize_session=False)
    )
    if not count_affected(changed):
        return False
    db.session.execute(delete(UsedCode).where(UsedCode.user_id == user.id, UsedCode.step < step - KEPT_STEPS))
    db.session.add(UsedCode(user_id=user.id, step=step))
    return True


def _renew_recovery_codes(user: User) -> list[str]:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["-".join(_letters(5) for _ in range(3)) for _ in range(RECOVERY_CODES)]
    db.session.add_all([RecoveryCode(user_id=user.id, code_hash=digest(_plain(code))) for code in codes])
    return codes


def _letters(number: int) -> str:
    return "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(number))


def _plain(code: str) -> str:
    """Return a code as it is compared: people type spaces, hyphens and capitals as they like."""
    return "".join(letter for letter in code.lower() if letter.isalnum())


def _matching_step(secret: str, code: str) -> int | None:
    """Return the time step whose code this is."""
    totp = pyotp.TOTP(secret, interval=STEP_S)
    typed = _plain(code).encode()
    present = _present_step()
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), typed):
            return step
    return None


def _present_step() -> int:
    return int(now().timestamp()) // STEP_S
