"""Mail leaves in two steps: `queue` notes it inside the transaction that causes it, `deliver_due` hands it over.

A mail is therefore sent if and only if its cause was committed, and a mail server that is down delays it and loses
nothing.  It may arrive twice (a worker that dies after the server took it), always under one Message-ID.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from portal.encryption import Sealed, seal, unseal
from portal.extensions import count_affected, db, is_over, now
from portal.mail.models import Message
from portal.mail.transport import DeliveryError, open_transport
from portal.settings import Settings

LANGUAGES = ("en", "zh")
MOST_ATTEMPTS = 12
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=6)
LEASE = timedelta(minutes=5)
"""Longer than handing over one mail may take; a dead worker's mail is taken up by another after it."""
KEPT = timedelta(days=30)
"""How long it can be seen that a mail was sent."""
SUBJECT = "Subject: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a message says, and to whom."""

    recipient: str
    subject: str
    text: str


def queue(recipient: str, template: str, *, language: str | None = None, **context: object) -> Message:
    """Add a mail to the caller's transaction, written from `templates/mail/TEMPLATE.LANGUAGE.txt`.

    The template's first line is `Subject: …`, the second is empty.  It sees `context` and `base_url`.
    """
    settings: Settings = current_app.extensions["casebook.settings"]
    chosen = language if language in LANGUAGES else LANGUAGES[0]
    written = current_app.jinja_env.get_template(f"mail/{template}.{chosen}.txt").render(
        base_url=settings.base_url, **context
    )
    first, _, text = written.partition("\n")
    if not first.startswith(SUBJECT):
        raise ValueError(f"templates/mail/{template}.{chosen}.txt does not begin with {SUBJECT!r}")
    message_id = f"<{uuid.uuid4()}@{urlsplit(settings.base_url).hostname}>"
    letter = {"recipient": recipient, "subject": " ".join(first[len(SUBJECT) :].split()), "text": text.strip() + "\n"}
    message = Message(
        message_id=message_id,
        template=template,
        sealed=_sealed(message_id, json.dumps(letter)),
    )
    db.session.add(message)
    return message


def open_letter(message: Message) -> Letter | None:
    """Return what a waiting message says; None once it is sent.

    Raises:
        Sealed: it was written under another secret key.
    """
    if message.sealed is None:
        return None
    return Letter(**json.loads(_opened(message, message.sealed)))


def reseal(message: Message) -> None:
    """Seal a waiting message with the secret key of today."""
    if message.sealed is not None:
        message.sealed = _sealed(message.message_id, _opened(message, message.sealed))


def _sealed(message_id: str, letter: str) -> bytes:
    return seal(letter, table="message", column="sealed", row=message_id)


def _opened(message: Message, sealed: bytes) -> str:
    return unseal(sealed, table="message", column="sealed", row=message.message_id)


def deliver_due(most: int = 50) -> int:
    """Hand over what is due, one commit each, and return how many mails were taken.

    Several workers may do so at once: each mail is leased to one of them.  A refusal is noted on the mail, which waits
    longer each time; after `MOST_ATTEMPTS` it is left for the operator, whom `casebook doctor` tells.
    """
    settings: Settings = current_app.extensions["casebook.settings"]
    due = db.session.scalars(select(Message.id).where(_is_due()).order_by(Message.not_before).limit(most)).all()
    if not due:
        return 0
    delivered = 0
    with open_transport(settings) as transport:
        for key in due:
            message = _lease(key)
            if message is None:
                continue
            try:
                letter = open_letter(message)
                if letter is not None:
                    transport.send(_envelope(message, letter, settings))
            except (DeliveryError, Sealed) as error:
                _postpone(message, str(error))
            else:
                _settle(message)
                delivered += 1
    return delivered


def forget_old() -> int:
    """Delete and commit the rows of mails that were sent long ago; returns how many they were."""
    deleted = db.session.execute(
        delete(Message).where(Message.sent_at < now() - KEPT).execution_options(synchronize_session=False)
    )
    db.session.commit()
    return count_affected(deleted)


def drop_waiting() -> int:
    """Delete, in the caller's transaction, the mails that nobody has got yet; return how many."""
    deleted = db.session.execute(
        delete(Message).where(Message.sent_at.is_(None)).execution_options(synchronize_session=False)
    )
    return count_affected(deleted)


def waiting_count() -> int:
    """Return how many mails are still to be handed over."""
    return _count(and_(Message.sent_at.is_(None), Message.attempts < MOST_ATTEMPTS))


def set_aside_count() -> int:
    """Return how many mails were refused so often that nobody tries any more."""
    return _count(and_(Message.sent_at.is_(None), Message.attempts >= MOST_ATTEMPTS))


def _count(condition: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(Message).where(condition)) or 0


def _is_due() -> ColumnElement[bool]:
    return and_(
        Message.sent_at.is_(None),
        Message.attempts < MOST_ATTEMPTS,
        is_over(Message.not_before, longest=LONGEST_PAUSE),
        or_(Message.leased_until.is_(None), is_over(Message.leased_until, longest=LEASE)),
    )


def _lease(key: int) -> Message | None:
    """Take a mail if it is still free.  The attempt counts at once: a mail that kills workers is not tried for ever."""
    taken = db.session.execute(
        update(Message)
        .where(Message.id == key, _is_due())
        .values(leased_until=now() + LEASE, attempts=Message.attempts + 1)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    if not count_affected(taken):
        return None
    return db.session.get(Message, key, populate_existing=True)


def _settle(message: Message) -> None:
    message.sent_at = now()
    message.sealed = message.leased_until = message.last_error = None
    db.session.commit()


def _postpone(message: Message, reason: str) -> None:
    pause = min(FIRST_PAUSE * 2 ** (message.attempts - 1), LONGEST_PAUSE)
    message.not_before = now() + pause
    message.leased_until = None
    message.last_error = reason
    db.session.commit()


def _envelope(message: Message, letter: Letter, settings: Settings) -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"] = message.message_id
    mail["Date"] = message.created_at
    mail["From"] = settings.mail_from
    mail["To"] = letter.recipient
    mail["Subject"] = letter.subject
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text)
    return mail
