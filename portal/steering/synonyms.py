"""Operations on synonyms: words that search treats alike.  They widen queries, so a change needs no reindexing.

One-way rules and two-way rules together make a graph of words; a circle of them that is not simply two-way is refused,
because somebody meant something else.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from flask_babel import gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from portal import audit
from portal.access import Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db, now
from portal.search.ranking import OneWay
from portal.slugs import folded
from portal.steering import journal, owners
from portal.steering.models import Synonym
from portal.vocabulary import words

FIELDS = ("words", "others", "is_two_way", "is_active", "reason", "expires_at", "owner_id")
LONGEST_WORDS = 80
MOST_OTHERS = 20
MOST_LINES = 200
LONGEST_LINE = 1_000
_COMMA = re.compile(r"[,，、;；\n]")
_ARROW = re.compile(r"=>|->|→")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as search uses it: whoever asks for `words` also finds each of `others`; two-way, each finds all."""

    words: str
    others: tuple[str, ...]
    is_two_way: bool
    id: int = 0

    def searched(self) -> tuple[str, ...] | OneWay:
        """Return it as a query is widened by it."""
        return (self.words, *self.others) if self.is_two_way else OneWay(self.words, self.others)


def save(synonym: Synonym | None, *, by: Viewer, changes: Mapping[str, Any]) -> Synonym:
    """Make or change a rule and commit it.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: a side is empty, both are the same, another rule says the same, or rules would lead in a circle.
    """
    by.require(Permission.STEER_SEARCH)
    words.refuse_unknown(changes, FIELDS)
    saved = journal.put("synonym", Synonym, synonym, _checked(changes, synonym, load_all()), by=by)
    details = {
        "words": saved.words,
        "others": saved.others,
        "is_active": saved.is_active,
        "owner_id": saved.owner_id,
    }
    audit.append("synonym.save", by=by, kind="synonym", object_id=saved.id, details=details)
    db.session.commit()
    return saved


def save_lines(text: str, *, by: Viewer, changes: Mapping[str, Any]) -> list[Synonym]:
    """Make a rule of every line and commit them all: `a, b, c` is two-way, `a => b, c` one-way; `#` begins a note.

    `changes` holds what all of them share.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: some lines are broken; each is named with its number and its fault, and nothing is saved.
    """
    by.require(Permission.STEER_SEARCH)
    words.refuse_unknown(changes, ("is_active", "reason", "expires_at"))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise Invalid({"lines": gettext("Write at least one line.")})
    if len(lines) > MOST_LINES:
        raise Invalid({"lines": gettext("At most %(most)s lines are possible.", most=MOST_LINES)})
    there, saved, faults = load_all(), [], []
    for number, line in lines:
        try:
            values = _checked({**read_line(line), **changes}, None, there)
        except Invalid as invalid:
            faults.append(gettext("Line %(number)s: %(fault)s", number=number, fault=str(invalid)))
            continue
        made = Synonym(owner_id=by.user_id, **values)
        there.append(made)
        saved.append(made)
    if faults:
        raise Invalid({"lines": "\n".join(faults)})
    db.session.add_all(saved)
    db.session.flush()
    for made in saved:
        journal.note("synonym", made.id, before=None, after=journal.described("synonym", made), by=by)
    audit.append("synonym.save", by=by, kind="synonym", details={"lines": len(saved)})
    db.session.commit()
    return saved


def read_line(line: str) -> dict[str, Any]:
    """Return what a line says: `words`, `others` and `is_two_way`.

    Raises:
        Invalid: it is no rule.
    """
    if len(line) > LONGEST_LINE:
        raise Invalid({"lines": gettext("This is longer than %(most)s characters. Shorten it.", most=LONGEST_LINE)})
    sides = _ARROW.split(line)
    if len(sides) > 2:
        raise Invalid({"lines": gettext("%(line)s has more than one arrow.", line=repr(line[:60]))})
    if len(sides) == 2:
        asked = split(sides[0])
        if len(asked) != 1:
            raise Invalid({"lines": gettext("Write one word or phrase before the arrow.")})
        return {"words": asked[0], "others": sides[1], "is_two_way": False}
    alike = split(line)
    if len(alike) < 2:
        raise Invalid(
            {"lines": gettext("%(line)s is one word alone. Write others beside it, with commas.", line=repr(line[:60]))}
        )
    return {"words": alike[0], "others": ", ".join(alike[1:]), "is_two_way": True}


def delete(synonym: Synonym, *, by: Viewer) -> int:
    """Remove a rule and commit; returns the step by which it can be brought back.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    synonym_id, details = synonym.id, {"words": synonym.words, "others": synonym.others}
    step_id = journal.remove("synonym", synonym, by=by)
    audit.append("synonym.delete", by=by, kind="synonym", object_id=synonym_id, details=details)
    db.session.commit()
    return step_id


def load_all() -> list[Synonym]:
    """Return all rules, by their words."""
    wanted = select(Synonym).options(joinedload(Synonym.owner))
    return list(db.session.scalars(wanted.order_by(Synonym.words, Synonym.id)))


def load_active(at: datetime | None = None) -> tuple[Rule, ...]:
    """Return the rules in force: what search widens queries with."""
    in_force = or_(Synonym.expires_at.is_(None), Synonym.expires_at > (at or now()))
    rows = db.session.execute(
        select(Synonym.id, Synonym.words, Synonym.others, Synonym.is_two_way)
        .where(Synonym.is_active.is_(True), in_force)
        .order_by(Synonym.id)
    )
    return tuple(Rule(row.words, tuple(split(row.others)), is_two_way=row.is_two_way, id=row.id) for row in rows)


def rule_of(synonym: Synonym) -> Rule:
    """Return a rule as search uses it, whether it is switched on or not."""
    return Rule(synonym.words, tuple(split(synonym.others)), is_two_way=synonym.is_two_way, id=synonym.id)


def split(others: str) -> list[str]:
    """Return the words of a comma-separated list."""
    return [word for word in (" ".join(part.split()) for part in _COMMA.split(others)) if word]


def _checked(changes: Mapping[str, Any], synonym: Synonym | None, there: Sequence[Synonym]) -> dict[str, Any]:
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
    _read_owner(changes, synonym, values, errors)
    if not errors:
        _check_rule(values, synonym, there, errors)
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


def _read_owner(
    changes: Mapping[str, Any], synonym: Synonym | None, values: dict[str, Any], errors: dict[str, str]
) -> None:
    if "owner_id" in changes:
        try:
            values["owner_id"] = owners.checked(changes["owner_id"], synonym)
        except Invalid as refused:
            errors["owner_id"] = str(refused)


def _read_line(
    changes: Mapping[str, Any], field: str, most: int, values: dict[str, Any], errors: dict[str, str]
) -> None:
    if field not in changes:
        return
    try:
        values[field] = words.checked_line(changes[field], most=most)
    except ValueError as error:
        errors[field] = str(error)


def _check_rule(
    values: Mapping[str, Any], synonym: Synonym | None, there: Sequence[Synonym], errors: dict[str, str]
) -> None:
    """Check what the rule would be as a whole, and against the others."""
    whole = {field: values.get(field, getattr(synonym, field, None)) for field in ("words", "others", "is_two_way")}
    asked = whole["words"] or ""
    is_two_way = whole["is_two_way"] is not False
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
    others = [other for other in there if other is not synonym]
    for other in others:
        theirs, their_targets = _key(other.words), {_key(word) for word in split(other.others)}
        is_same = (theirs == mine and their_targets == targets) or (
            is_two_way and other.is_two_way and {theirs, *their_targets} == {mine, *targets}
        )
        if is_same:
            errors["words"] = gettext("There is such a rule already. Change that one instead.")
        elif not is_two_way and not other.is_two_way and theirs in targets and mine in their_targets:
            errors["others"] = gettext(
                "Another rule leads from %(word)s back to these words. Make that rule two-way instead.",
                word=other.words,
            )
    if errors:
        return
    own = Rule(asked, tuple(split(whole["others"])), is_two_way=is_two_way)
    if circle := find_circle(own, [rule_of(other) for other in others]):
        errors["others"] = gettext(
            "With this, the rules lead in a circle: %(words)s. Leave one of them out, or make one two-way rule of all.",
            words=" → ".join(circle),
        )


def find_circle(own: Rule, others: Sequence[Rule]) -> list[str]:
    """Return the words of a circle that a rule would close over others, or nothing.

    Two-way rules alone make no circle; one step at least must be a one-way rule.
    """
    ways: dict[str, list[Rule]] = {}
    for rule in others:
        for leaving in (rule.words, *rule.others) if rule.is_two_way else (rule.words,):
            ways.setdefault(_key(leaving), []).append(rule)
    alike = (own.words, *own.others)
    goals = {_key(word) for word in (alike if own.is_two_way else (own.words,))}
    # Each word counts twice: reached through two-way rules alone, or with a one-way rule on the way.
    seen: dict[tuple[str, bool], tuple[tuple[str, bool] | None, str]] = {
        (_key(word), not own.is_two_way): (None, word) for word in (alike if own.is_two_way else own.others)
    }
    waiting = list(seen)
    for place in waiting:
        word, is_one_way = place
        if is_one_way and word in goals:
            way = _way_back(place, seen)
            return way if own.is_two_way else [own.words, *way]
        for rule in ways.get(word, ()):
            for reached in (rule.words, *rule.others) if rule.is_two_way else rule.others:
                following = (_key(reached), is_one_way or not rule.is_two_way)
                if following not in seen:
                    seen[following] = (place, reached)
                    waiting.append(following)
    return []


def _way_back(
    place: tuple[str, bool] | None, seen: Mapping[tuple[str, bool], tuple[tuple[str, bool] | None, str]]
) -> list[str]:
    way = []
    while place is not None:
        place, word = seen[place]
        way.append(word)
    return way[::-1]


@lru_cache(maxsize=20_000)
def _key(word: str) -> str:
    return folded(word)
