"""What people and programs fill in: every declared field is checked here, and every refusal names its field.

Operations take what forms, the API and imports hand them, as it came.  A check gives back the clean value or raises
`Invalid` with a sentence under an empty name; `Check` puts the field's name to it and collects all of a submission.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from flask_babel import gettext as _

from portal.errors import Invalid

Value = TypeVar("Value")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LARGEST_ID = 2**31 - 1


class Check:
    """Collects the sentences of one submission, so that people see all of them at once."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def read(self, name: str, check: Callable[..., Value], *args: Any, **options: Any) -> Value | None:
        """Return what `check(*args)` gives, or None where it was refused; the sentence is kept under the name."""
        try:
            return check(*args, **options)
        except Invalid as refused:
            self.errors[name] = next(iter(refused.fields.values()))
            return None

    def refuse(self, name: str, sentence: str) -> None:
        """Keep a sentence under a field's name."""
        self.errors.setdefault(name, sentence)

    def finish(self) -> None:
        """Raise `Invalid` if anything was refused."""
        if self.errors:
            raise Invalid(self.errors)


def text(value: object, *, most: int, required: bool = False, is_line: bool = False) -> str:
    """Return a trimmed text of at most `most` characters; a line has no line breaks in it."""
    if value is None:
        value = ""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid({"": _("This must be text.")})
        value = str(value)
    if _UNSTORABLE.search(value):
        raise Invalid({"": _("This holds characters that cannot be stored. Type it anew.")})
    cleaned = " ".join(value.split()) if is_line else value.replace("\r\n", "\n").strip()
    if required and not cleaned:
        raise Invalid({"": _("Fill this in.")})
    if len(cleaned) > most:
        raise Invalid({"": _("This is longer than %(most)s characters; shorten it.", most=most)})
    return cleaned


def looked_for(value: str, *, most: int = 200) -> str:
    """Return the words of a look-up, without what no stored text holds: a database would refuse the question."""
    return " ".join(_UNSTORABLE.sub(" ", value[:most]).split())


def choice(value: object, choices: Collection[str]) -> str:
    """Return the value if it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise Invalid({"": _("Choose one of: %(choices)s.", choices=", ".join(choices))})
    return value


def language(value: object) -> str:
    """Return a language tag such as `en` or `zh-TW`; empty means English."""
    tag = text(value, most=10, is_line=True) or "en"
    if not _LANGUAGE.fullmatch(tag):
        raise Invalid({"": _("This is not a language; write it as en or zh.")})
    return tag


def whole(value: object) -> int | None:
    """Return an id, or None where it was left out."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(LARGEST_ID)) + 1:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise Invalid({"": _("There is no such choice.")})
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
        raise Invalid({"": _("This is not a date; write it as 2026-01-31 or 2026-01-31T09:30:00Z.")}) from None
    if not _EARLIEST <= at < _LATEST:
        raise Invalid({"": _("This date lies too far from the present.")})
    return at


def extra(value: object, *, most: int = 100_000) -> dict[str, Any]:
    """Return a JSON object of anything; what JSON does not know is kept as text."""
    if not isinstance(value, Mapping):
        raise Invalid({"": _("This must be an object.")})
    try:
        written = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        raise Invalid({"": _("This is nested too deeply.")}) from None
    if "\\u0000" in written:
        raise Invalid({"": _("This holds characters that cannot be stored. Type it anew.")})
    kept: dict[str, Any] = json.loads(text(written, most=most))
    return kept


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
        raise Invalid({"": _("This must be a list of words.")})
    found = dict.fromkeys(text(part, most=longest, is_line=True) for part in parts)
    found.pop("", None)
    if len(found) > most:
        raise Invalid({"": _("At most %(most)s are possible.", most=most)})
    return list(found)
