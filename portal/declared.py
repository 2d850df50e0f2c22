"""What people and programs fill in: every declared field is checked here, and every refusal names its field.

Operations take what forms, the API and imports hand them, as it came.  The checks give back clean values or raise
`Refused`, which carries one sentence a field, so that each way in can show it beside what was typed.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from flask_babel import gettext as _

Value = TypeVar("Value")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LARGEST_ID = 2**31 - 1


class Refused(Exception):  # noqa: N818  The name of the answer people get.
    """What was filled in cannot be used; `fields` holds a sentence for each field."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {sentence}" for name, sentence in fields.items()))
        self.fields = dict(fields)


class Conflict(Exception):  # noqa: N818  The name of the answer people get.
    """Somebody saved a newer version in between.  Nothing was written; both versions are here.

    `current` is the object as it is now, `submitted` the fields that were not saved.
    """

    def __init__(self, current: Any, submitted: Mapping[str, Any]) -> None:
        super().__init__(
            f"{type(current).__name__} {current.id} is at version {current.version} by now. "
            "Compare both and save again with that version."
        )
        self.current = current
        self.submitted = dict(submitted)


class Missing(LookupError):  # noqa: N818  The name of the answer people get.
    """There is no such object, or none that this viewer may read: the two look alike."""


class Check:
    """Collects the sentences of one submission, so that people see all of them at once."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def read(self, name: str, check: Callable[..., Value], *args: Any, **options: Any) -> Value | None:
        """Return what `check(*args)` gives, or None where it was refused; the sentence is kept under the name."""
        try:
            return check(*args, **options)
        except Refused as refused:
            self.errors[name] = next(iter(refused.fields.values()))
            return None

    def refuse(self, name: str, sentence: str) -> None:
        """Keep a sentence under a field's name."""
        self.errors.setdefault(name, sentence)

    def finish(self) -> None:
        """Raise `Refused` if anything was refused."""
        if self.errors:
            raise Refused(self.errors)


def text(value: object, *, most: int, required: bool = False, is_line: bool = False) -> str:
    """Return a trimmed text of at most `most` characters; a line has no line breaks in it."""
    if value is None:
        value = ""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused({"": _("This must be text.")})
        value = str(value)
    if _UNSTORABLE.search(value):
        raise Refused({"": _("This holds characters that cannot be stored. Type it anew.")})
    cleaned = " ".join(value.split()) if is_line else value.replace("\r\n", "\n").strip()
    if required and not cleaned:
        raise Refused({"": _("Fill this in.")})
    if len(cleaned) > most:
        raise Refused({"": _("This is longer than %(most)s characters; shorten it.", most=most)})
    return cleaned


def choice(value: object, choices: Collection[str]) -> str:
    """Return the value if it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise Refused({"": _("Choose one of: %(choices)s.", choices=", ".join(choices))})
    return value


def language(value: object) -> str:
    """Return a language tag such as `en` or `zh-TW`; empty means English."""
    tag = text(value, most=10, is_line=True) or "en"
    if not _LANGUAGE.fullmatch(tag):
        raise Refused({"": _("This is not a language; write it as en or zh.")})
    return tag


def whole(value: object) -> int | None:
    """Return an id, or None where it was left out."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(LARGEST_ID)) + 1:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise Refused({"": _("There is no such choice.")})
    return value


def moment(value: object) -> datetime | None:
    """Return an aware moment from ISO 8601 text or a date; a time without a zone is UTC."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            at = value
        elif isinstance(value, date):
            at = datetime.combine(value, time())
        else:
            at = datetime.fromisoformat(str(value).strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused({"": _("This is not a date; write it as 2026-01-31 or 2026-01-31T09:30:00Z.")}) from None
    if not _EARLIEST <= at < _LATEST:
        raise Refused({"": _("This date lies too far from the present.")})
    return at


def words(value: object, *, most: int, longest: int) -> list[str]:
    """Return a list of short texts, each once, from a list or from one text with commas between them."""
    if value is None:
        return []
    parts: Iterable[object]
    if isinstance(value, str):
        parts = re.split(r"[,，、;；\n]", value)
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        raise Refused({"": _("This must be a list of words.")})
    found = dict.fromkeys(text(part, most=longest, is_line=True) for part in parts)
    found.pop("", None)
    if len(found) > most:
        raise Refused({"": _("At most %(most)s are possible.", most=most)})
    return list(found)
