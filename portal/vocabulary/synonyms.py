"""Operations on synonyms: words that search treats alike.  They widen queries, so a change needs no reindexing."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from flask_babel import gettext
from sqlalchemy import or_, select

from portal import audit
from portal.access import Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.search.ranking import OneWay, Synonyms, default_synonyms
from portal.slugs import folded
from portal.vocabulary import words
from portal.vocabulary.models import Synonym

FIELDS = ("words", "others", "is_two_way", "is_active", "reason", "expires_at")
LONGEST_WORDS = 80
MOST_OTHERS = 20
_COMMA = re.compile(r"[,，、;；\n]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as search uses it: whoever asks for `words` also finds each of `others`; two-way, each finds all."""

    words: str
    others: tuple[str, ...]
    is_two_way: bool


def save(synonym: Synonym | None, *, by: Viewer, changes: Mapping[str, Any]) -> Synonym:
    """Make or change a rule and commit it.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: a side is empty, both are the same, or another rule says the opposite or the same.
    """
    by.require(Permission.STEER_SEARCH)
    words.refuse_unknown(changes, FIELDS)
    values = _checked(changes, synonym)
    if synonym is None:
        synonym = Synonym(owner_id=by.user_id, **values)
        db.session.add(synonym)
    else:
        for field, value in values.items():
            setattr(synonym, field, value)
    db.session.flush()
    audit.append(
        "synonym.save",
        by=by,
        kind="synonym",
        object_id=synonym.id,
        details={"words": synonym.words, "others": synonym.others, "is_active": synonym.is_active},
    )
    db.session.commit()
    return synonym


def delete(synonym: Synonym, *, by: Viewer) -> None:
    """Remove a rule and commit.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    audit_id, details = synonym.id, {"words": synonym.words, "others": synonym.others}
    db.session.delete(synonym)
    db.session.flush()
    audit.append("synonym.delete", by=by, kind="synonym", object_id=audit_id, details=details)
    db.session.commit()


def load_all() -> list[Synonym]:
    """Return all rules, by their words."""
    return list(db.session.scalars(select(Synonym).order_by(Synonym.words, Synonym.id)))


def load_active(at: datetime | None = None) -> tuple[Rule, ...]:
    """Return the rules in force: what search widens queries with."""
    in_force = or_(Synonym.expires_at.is_(None), Synonym.expires_at > (at or now()))
    rows = db.session.scalars(select(Synonym).where(Synonym.is_active.is_(True), in_force).order_by(Synonym.id))
    return tuple(Rule(row.words, tuple(split(row.others)), row.is_two_way) for row in rows)


class SynonymsInForce:
    """What search asks at every query: the product's own groups and the editors' rules, read anew every few seconds."""

    EVERY_S = 3.0

    def __init__(self) -> None:
        self._known: Synonyms = ()
        self._read_at: float | None = None

    def __call__(self) -> Synonyms:
        """Return the groups and one-way rules in force, at most `EVERY_S` old."""
        if self._read_at is None or time.monotonic() - self._read_at >= self.EVERY_S:
            rules: list[tuple[str, ...] | OneWay] = [
                (rule.words, *rule.others) if rule.is_two_way else OneWay(rule.words, rule.others)
                for rule in load_active()
            ]
            self._known, self._read_at = (*default_synonyms(), *rules), time.monotonic()
        return self._known


def split(others: str) -> list[str]:
    """Return the words of a comma-separated list."""
    return [word for word in (" ".join(part.split()) for part in _COMMA.split(others)) if word]


def _checked(changes: Mapping[str, Any], synonym: Synonym | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    _read_line(changes, "words", LONGEST_WORDS, values, errors)
    _read_line(changes, "reason", 500, values, errors)
    if "others" in changes:
        _read_others(changes["others"], values, errors)
    for field in ("is_two_way", "is_active"):
        if field in changes:
            values[field] = changes[field]
            if not isinstance(changes[field], bool):
                errors[field] = gettext("Say yes or no.")
    if "expires_at" in changes:
        values["expires_at"] = expires_at = changes["expires_at"]
        if expires_at is not None and (not isinstance(expires_at, datetime) or expires_at.tzinfo is None):
            errors["expires_at"] = gettext("This is not a date.")
    if not errors:
        _check_rule(values, synonym, errors)
    if errors:
        raise Invalid(errors)
    return values


def _read_others(others: object, values: dict[str, Any], errors: dict[str, str]) -> None:
    try:
        listed = split(others) if isinstance(others, str) else list(cast("Iterable[str]", others or []))
        listed = [words.checked_line(word, most=LONGEST_WORDS) for word in listed]
    except (TypeError, ValueError) as error:
        errors["others"] = str(error)
        return
    if len(listed) > MOST_OTHERS:
        errors["others"] = gettext("At most %(most)s words are possible.", most=MOST_OTHERS)
    values["others"] = ", ".join(dict.fromkeys(word for word in listed if word))


def _read_line(
    changes: Mapping[str, Any], field: str, most: int, values: dict[str, Any], errors: dict[str, str]
) -> None:
    if field not in changes:
        return
    try:
        values[field] = words.checked_line(changes[field], most=most)
    except ValueError as error:
        errors[field] = str(error)


def _check_rule(values: Mapping[str, Any], synonym: Synonym | None, errors: dict[str, str]) -> None:
    """Check what the rule would be as a whole, and against the others."""
    whole = {field: values.get(field, getattr(synonym, field, None)) for field in ("words", "others", "is_two_way")}
    asked = whole["words"] or ""
    mine = folded(asked)
    targets = {folded(word) for word in split(whole["others"] or "")} - {""}
    if not mine:
        errors["words"] = gettext("Write the words that people type.")
    if not targets:
        errors["others"] = gettext("Write at least one word that is to be found, too.")
    if mine in targets:
        errors["others"] = gettext("A word cannot be its own synonym. Take %(word)s out of the list.", word=asked)
    if errors:
        return
    for other in load_all():
        if synonym is not None and other.id == synonym.id:
            continue
        theirs, their_targets = folded(other.words), {folded(word) for word in split(other.others)}
        if theirs == mine and their_targets == targets:
            errors["words"] = gettext("There is such a rule already. Change that one instead.")
        elif whole["is_two_way"] is False and not other.is_two_way and theirs in targets and mine in their_targets:
            errors["others"] = gettext(
                "Another rule leads from %(word)s back to these words. Make that rule two-way instead.",
                word=other.words,
            )
