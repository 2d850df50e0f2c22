"""`casebook doctor`: looks at everything that can be wrong with an installation, and says what to do about it."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import click
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from portal import audit, queue, safety
from portal.access import STAFF_ROLES, Role
from portal.accounts.models import User
from portal.app import create_app
from portal.commands.keys import PLACES
from portal.commands.options import AS_JSON
from portal.customers import points
from portal.customers.models import ContactPoint
from portal.encryption import Sealed
from portal.extensions import db, now
from portal.health.state import OLDEST_BACKUP, backup_age_s, is_migrated
from portal.mail import messages
from portal.mail.models import Message
from portal.outbox import OutboxRow
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.models import Heartbeat
from portal.settings import Settings, SettingsError

SMALLEST_DISK = 500 * 1000 * 1000
SILENCE = timedelta(minutes=1)
"""A worker gives a sign of life every few seconds; after this it is gone."""
MOST_BREAKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, whether it is well, and a sentence."""

    name: str
    is_well: bool
    message: str


def well(name: str, message: str) -> Finding:
    """Make a finding that needs nothing done."""
    return Finding(name=name, is_well=True, message=message)


def ill(name: str, message: str) -> Finding:
    """Make a finding that somebody must do something about."""
    return Finding(name=name, is_well=False, message=message)


def examine() -> Iterator[Finding]:
    """Look at everything; what cannot be looked at for an earlier fault is left out and said."""
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        yield ill("settings", str(error))
        return
    yield well("settings", f"{settings.env}, data in {settings.data_dir}")
    yield from _examine_safety(settings)
    try:
        app = create_app(settings)
    except SettingsError:
        yield ill("start", "The portal refuses to start for what is said above; nothing else was looked at.")
        return
    with app.app_context():
        yield _disk(settings)
        yield _backup(settings)
        database = _database()
        yield database
        if database.is_well:
            for look in (_audit_chain, _key, _administrators, _mail, _worker):
                yield look()
        yield _engine()
        yield _queue(settings)


def _examine_safety(settings: Settings) -> Iterator[Finding]:
    checks: list[tuple[str, Callable[[], list[str]], str]] = [
        ("secret", lambda: safety.weak_secret(settings) if settings.is_production else [], "The secret key is fit."),
        ("debug", safety.debug_mode, "Debug mode is off."),
        ("cookies", lambda: safety.open_cookies(settings), _cookies(settings)),
        ("data folder", lambda: safety.open_data(settings), "The data folder is closed to others."),
    ]
    for name, check, sentence in checks:
        wrong = check()
        yield ill(name, " ".join(wrong)) if wrong else well(name, sentence)


def _cookies(settings: Settings) -> str:
    if settings.base_url.startswith("https://"):
        return "Cookies travel encrypted only."
    return "Cookies travel unencrypted, which development forgives."


def _disk(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return ill("disk", f"{settings.data_dir} cannot be read ({error.strerror}). Run `casebook init`.")
    sentence = f"{free / 1e9:.1f} GB are free in {settings.data_dir}."
    return well("disk", sentence) if free >= SMALLEST_DISK else ill("disk", f"{sentence} Make room.")


def _backup(settings: Settings) -> Finding:
    age_s = backup_age_s(settings)
    if age_s == math.inf:
        sentence = "No backup was ever noted. `casebook backup DIR` makes one."
        return ill("backup", sentence) if settings.is_production else well("backup", sentence)
    sentence = f"The last backup was noted {age_s / 3600:.0f} hours ago."
    return (
        well("backup", sentence) if age_s <= OLDEST_BACKUP.total_seconds() else ill("backup", f"{sentence} Look why.")
    )


def _database() -> Finding:
    kind = db.engine.dialect.name
    try:
        db.session.execute(text("SELECT 1"))
        migrated = is_migrated()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()
        return ill("database", f"{kind} cannot be used: {reason[0] if reason else type(error).__name__}")
    if not migrated:
        return ill("database", f"{kind} has not this version's tables. Run `casebook init`.")
    return well("database", f"{kind} answers and has this version's tables.")


def _audit_chain() -> Finding:
    breaks = list(islice(audit.verify(), MOST_BREAKS))
    if breaks:
        told = "; ".join(f"entry {found.entry_id}: {found.reason}" for found in breaks)
        return ill("audit log", f"Its chain is broken ({told}). Compare it with a backup.")
    count = db.session.scalar(select(func.count()).select_from(audit.AuditEntry)) or 0
    return well("audit log", f"The chain of {count} entries holds.")


def _key() -> Finding:
    """Open one sealed value of each kind: with a wrong key none opens, and nothing says so until somebody needs it."""
    openers: list[tuple[Any, Callable[[Any], object]]] = [
        (select(ContactPoint), points.opened),
        (select(User), lambda user: user.email),
        (select(Message).where(Message.sealed.is_not(None)), messages.open_letter),
    ]
    try:
        for chosen, opened in openers:
            row = db.session.scalars(chosen.limit(1)).first()
            if row is not None:
                opened(row)
    except Sealed as error:
        return ill("encryption", str(error))
    outdated = sum(place.count_outdated() for place in PLACES)
    if outdated:
        return ill("encryption", f"{outdated} rows are sealed with an old secret key. Run `casebook keys rotate`.")
    return well("encryption", "What is encrypted can be read with the secret key.")


def _administrators() -> Finding:
    active = select(func.count()).select_from(User).where(User.is_active)
    if not db.session.scalar(active.where(User.role == Role.ADMIN.value)):
        return ill("accounts", "Nobody can administer. Run `casebook user add NAME --email E --role admin`.")
    staff = db.session.scalar(active.where(User.role.in_(STAFF_ROLES))) or 0
    bare = db.session.scalar(active.where(User.role.in_(STAFF_ROLES), User.totp_secret.is_(None))) or 0
    return well("accounts", f"{staff} people work here, {staff - bare} of them with a second factor.")


def _mail() -> Finding:
    given_up = messages.set_aside_count()
    if given_up:
        return ill("mail", f"{given_up} mails were refused too often and are not tried again. Check CASEBOOK_MAIL_URL.")
    return well("mail", f"{messages.waiting_count()} mails wait.")


def _worker() -> Finding:
    last = db.session.scalar(select(func.max(Heartbeat.at)))
    waiting = db.session.scalar(
        select(func.count())
        .select_from(OutboxRow)
        .where(OutboxRow.version > OutboxRow.indexed_version, OutboxRow.changed_at < now() - SILENCE)
    )
    if waiting and (last is None or last < now() - SILENCE):
        return ill("worker", f"{waiting} changes wait for the index and no worker is at work. Start `casebook worker`.")
    return well(
        "worker", f"The last sign of life was at {last:%Y-%m-%d %H:%M:%S} UTC." if last else "None has run yet."
    )


def _engine() -> Finding:
    try:
        health = engine().health()
    except EngineError as error:
        return ill("search", str(error))
    if not health.is_up:
        return ill("search", f"{health.engine}: {health.detail}")
    return well("search", f"{health.engine} {health.version} holds {health.documents} documents.")


def _queue(settings: Settings) -> Finding:
    if queue.is_up():
        return well("queue", "It answers.")
    if settings.is_embedded_queue:
        return well("queue", "It starts with `casebook up`.")
    return ill(
        "queue", "It does not answer. Nothing is lost, but search learns of changes later. Check CASEBOOK_QUEUE_URL."
    )


@click.command("doctor")
@AS_JSON
def doctor(*, as_json: bool) -> int:
    """Look at everything that can be wrong: settings, secrets, database, audit log, search, queue, mail, disk.

    Ends with 1 when somebody must do something.
    """
    findings = list(examine())
    is_well = all(finding.is_well for finding in findings)
    if as_json:
        click.echo(json.dumps({"is_well": is_well, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.is_well else 'BAD':<4} {finding.name}: {finding.message}")
    return 0 if is_well else 1


bare_commands = [doctor]
