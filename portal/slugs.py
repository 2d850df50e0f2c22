"""Slugs: the words of an address.  They keep the letters of every script; a number alone is an id, never a slug."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy import ColumnElement, select

from portal.extensions import db

_NO_WORD = re.compile(r"[\W_]+")
LONGEST = 80


def folded(words: str) -> str:
    """Return words without what readers do not tell apart: width, upper case and punctuation; it may be empty."""
    return _NO_WORD.sub("-", unicodedata.normalize("NFKC", words).lower()).strip("-")


def slug_for(words: str) -> str:
    """Return the slug of a title or a name, such as `reset-your-password` or `重置密码`; never empty."""
    slug = folded(words)[:LONGEST].strip("-")
    if not slug:
        return "n-" + hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:8]
    return f"n-{slug}" if slug.isdigit() else slug


def free_slugs(wanted: Iterable[str], *taken_in: ColumnElement[str] | object) -> list[str]:
    """Return a free slug for each wanted one, in order: itself, or itself with the first free number.

    `taken_in` are the columns that hold slugs in use.  One query for all, and one more for each round of collisions.
    """
    wanted = list(wanted)
    taken: set[str] = set()
    result: list[str] = []
    _look_up(set(wanted), taken_in, taken)
    for slug in wanted:
        candidate, number = slug, 1
        while candidate in taken:
            numbered = [f"{slug}-{n}" for n in range(number + 1, number + 9)]
            _look_up(set(numbered) - taken, taken_in, taken)
            candidate = next((name for name in numbered if name not in taken), slug)
            number += 8
        taken.add(candidate)
        result.append(candidate)
    return result


def _look_up(slugs: set[str], columns: Iterable[object], taken: set[str]) -> None:
    """Add those of the slugs that a column holds to `taken`."""
    ordered = sorted(slugs)
    for column in columns:
        for start in range(0, len(ordered), 500):
            chunk = ordered[start : start + 500]
            taken.update(db.session.scalars(select(column).where(column.in_(chunk))))  # type: ignore[call-overload,attr-defined]
