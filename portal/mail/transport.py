"""Where mail goes: a mail server, a folder of `.eml` files, or nowhere.

`CASEBOOK_MAIL_URL` is `smtps://user:password@host:465` (TLS from the first byte), `smtp://host:587` (STARTTLS wherever
the server offers it; required as soon as a password would be sent to another machine), `folder:` or `off:`.
"""

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from portal.settings import Settings

TIMEOUT_S = 20


class DeliveryError(Exception):
    """A mail was not taken.  The text holds no address, so that it may be stored and shown."""


class Transport(Protocol):
    """Something that takes mail."""

    def send(self, mail: EmailMessage) -> None:
        """Hand one mail over.  Raises `DeliveryError`."""


@contextmanager
def open_transport(settings: Settings) -> Iterator[Transport]:
    """Open what the settings name; a mail server is called at the first mail and kept for the next ones."""
    if settings.mail_url == "folder:":
        yield Folder(settings.data_dir / "mail")
    elif settings.mail_url == "off:":
        yield Nowhere()
    else:
        server = Server(settings.mail_url)
        try:
            yield server
        finally:
            server.close()


class Nowhere:
    """Takes everything and keeps nothing."""

    def send(self, mail: EmailMessage) -> None:
        """Forget the mail."""


class Folder:
    """Keeps each mail as a file named after its Message-ID, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, mail: EmailMessage) -> None:
        """Write the mail, whole or not at all."""
        name = str(mail["Message-ID"]).strip("<>").partition("@")[0] + ".eml"
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(mail.as_bytes())
            draft.replace(self.folder / name)
        except OSError as error:
            raise DeliveryError(f"the mail folder cannot be written: {error.strerror}") from None


class Server:
    """A mail server, called when the first mail is there."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.is_tls = parts.scheme == "smtps"
        self.port = parts.port or (465 if self.is_tls else 25)
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        self.line: smtplib.SMTP | None = None

    def send(self, mail: EmailMessage) -> None:
        """Hand one mail over; a line that broke is opened again for the next."""
        try:
            if self.line is None:
                self.line = self._call()
            self.line.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise DeliveryError(f"the mail server refused the recipient ({codes[0]})") from None
        except smtplib.SMTPResponseException as error:
            self.close()
            raise DeliveryError(f"the mail server answered {error.smtp_code}") from None
        except smtplib.SMTPException as error:
            self.close()
            raise DeliveryError(f"the mail server broke off ({type(error).__name__})") from None
        except OSError as error:
            self.close()
            raise DeliveryError(
                f"the mail server cannot be reached: {error.strerror or type(error).__name__}"
            ) from None

    def close(self) -> None:
        """Hang up."""
        if self.line is not None:
            with suppress(smtplib.SMTPException, OSError):
                self.line.quit()
            self.line = None

    def _call(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.is_tls:
            line: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            line = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            line.ehlo()
            if not self.is_tls and line.has_extn("starttls"):
                line.starttls(context=context)
                line.ehlo()
            elif not self.is_tls and self.user and not _is_this_machine(self.host):
                raise DeliveryError("the mail server offers no encryption, so the password was not sent; use smtps://")
            if self.user:
                line.login(self.user, self.password)
        except BaseException:
            line.close()
            raise
        return line


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
