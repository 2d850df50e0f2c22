"""Operations on pins and hides: which article stands first for a query, and which stays away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from flask_babel import gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from portal import audit, declared
from portal.access import Permission, Viewer
from portal.declared import Check
from portal.errors import Invalid
from portal.extensions import db, now
from portal.knowledge import articles
from portal.knowledge.models import Article
from portal.search.guidance import MOST_PINNED, Rule
from portal.steering import journal, owners
from portal.steering.models import SearchRule

FIELDS = ("action", "words", "is_exact", "article", "position", "is_active", "reason", "expires_at", "owner_id")
ACTIONS = ("pin", "hide")
LONGEST_WORDS = 200
LONGEST_REASON = 500


def save(rule: SearchRule | None, *, by: Viewer, changes: Mapping[str, Any]) -> SearchRule:
    """Make or change a pin or a hide and commit it.  `article` is an article's number, address or short address.

    Raises:
        Forbidden: `by` may not steer the search.
        Invalid: the words say nothing, a pinned article is deleted or not published, there is such a rule, or no reason
            is given.
    """
    by.require(Permission.STEER_SEARCH)
    saved = journal.put("rule", SearchRule, rule, _checked(changes, rule, by), by=by)
    audit.append("rule.save", by=by, kind="rule", object_id=saved.id, details=_told(saved))
    db.session.commit()
    return saved


def delete(rule: SearchRule, *, by: Viewer) -> int:
    """Remove a rule and commit; returns the step by which it can be brought back.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    rule_id, details = rule.id, _told(rule)
    step_id = journal.remove("rule", rule, by=by)
    audit.append("rule.delete", by=by, kind="rule", object_id=rule_id, details=details)
    db.session.commit()
    return step_id


def load_all() -> list[SearchRule]:
    """Return all rules, by their words."""
    wanted = select(SearchRule).options(joinedload(SearchRule.owner))
    return list(db.session.scalars(wanted.order_by(SearchRule.words, SearchRule.position, SearchRule.id)))


def load_active(at: datetime | None = None) -> tuple[Rule, ...]:
    """Return the rules in force, as search uses them."""
    in_force = or_(SearchRule.expires_at.is_(None), SearchRule.expires_at > (at or now()))
    wanted = select(SearchRule).where(SearchRule.is_active.is_(True), in_force).options(joinedload(SearchRule.owner))
    return tuple(rule_of(rule) for rule in db.session.scalars(wanted.order_by(SearchRule.id)))


def rule_of(rule: SearchRule) -> Rule:
    """Return a rule as search uses it, whether it is switched on or not."""
    return Rule(
        id=rule.id,
        is_pin=rule.action == "pin",
        words=rule.words,
        document_id=f"article:{rule.article_id}",
        is_exact=rule.is_exact,
        position=rule.position,
        owner=rule.owner.name if rule.owner else "",
        reason=rule.reason,
    )


@dataclass(frozen=True, slots=True)
class Target:
    """The article that a rule is about, as it is now."""

    title: str
    slug: str
    state: str
    """draft, published, archived, or deleted"""


def load_targets(rules: list[SearchRule]) -> dict[int, Target]:
    """Return article id → what became of it, in one query."""
    ids = {rule.article_id for rule in rules}
    rows = db.session.execute(
        select(Article.id, Article.title, Article.slug, Article.state).where(Article.id.in_(ids))
    ).all()
    found = {row.id: Target(row.title, row.slug, row.state) for row in rows}
    return {number: found.get(number, Target("", "", "deleted")) for number in ids}


def _told(rule: SearchRule) -> dict[str, Any]:
    return {
        "action": rule.action,
        "words": rule.words,
        "article_id": rule.article_id,
        "is_active": rule.is_active,
        "reason": rule.reason,
        "owner_id": rule.owner_id,
    }


def _checked(changes: Mapping[str, Any], rule: SearchRule | None, by: Viewer) -> dict[str, Any]:
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise Invalid({name: gettext("There is no field %(name)r.", name=name) for name in unknown})
    check = Check()
    values: dict[str, Any] = {}
    # A new rule needs these four; a change may leave them as they are.
    given = changes if rule is not None else {"action": None, "words": None, "reason": None, "article": None, **changes}
    for field, value in given.items():
        if field == "article":
            values["article_id"] = check.read(field, _article_id, value, by)
        elif field == "owner_id":
            values[field] = check.read(field, owners.checked, value, rule)
        else:
            values[field] = check.read(field, _CHECKS[field], value)
    check.finish()
    _check_whole({field: values.get(field, getattr(rule, field, None)) for field in _WHOLE}, rule)
    return values


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid({"": gettext("Say yes or no.")})
    return value


def _position(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PINNED:
        raise Invalid({"": gettext("Give a whole number from 1 to %(most)s.", most=MOST_PINNED)})
    return value


def _article_id(named: object, by: Viewer) -> int:
    article = _find_article(named, by)
    if article is None:
        shown = repr(str(named or "")[:200])
        raise Invalid(
            {
                "": gettext(
                    "There is no article %(named)s, or it was deleted. Give the address of its page.", named=shown
                )
            }
        )
    return article.id


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "action": lambda value: declared.choice(value, ACTIONS),
    "words": lambda value: declared.text(value, most=LONGEST_WORDS, required=True, is_line=True),
    "reason": lambda value: declared.text(value, most=LONGEST_REASON, required=True, is_line=True),
    "is_exact": _boolean,
    "is_active": _boolean,
    "position": _position,
    "expires_at": declared.moment,
}
_WHOLE = ("action", "words", "article_id", "is_exact", "is_active")


def _check_whole(whole: Mapping[str, Any], rule: SearchRule | None) -> None:
    """Check what the rule would be as a whole, and against the others."""
    made = Rule(id=0, is_pin=whole["action"] == "pin", words=whole["words"], document_id="")
    if not made.terms:
        raise Invalid({"words": gettext("These words say nothing that could be searched for. Write others.")})
    article = db.session.get(Article, whole["article_id"])
    if article is None:
        raise Invalid({"article": gettext("This article was deleted. Choose another one, or remove the rule.")})
    if whole["action"] == "pin" and article.state != "published" and whole["is_active"] is not False:
        raise Invalid(
            {
                "article": gettext(
                    "“%(title)s” is not published, so nobody would find it. Publish it first.", title=article.title
                )
            }
        )
    same = select(SearchRule).where(SearchRule.article_id == article.id)
    for other in db.session.scalars(same):
        if other is not rule and rule_of(other).terms == made.terms:
            raise Invalid(
                {
                    "words": gettext(
                        "There is a rule for these words and this article already: “%(words)s”. Change that one.",
                        words=other.words,
                    )
                }
            )


def _find_article(named: object, by: Viewer) -> Article | None:
    """Return the article of a number, an id such as `article:7`, an address or its last part."""
    if isinstance(named, bool) or not isinstance(named, int | str):
        return None
    key = str(named).strip().partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2].removeprefix("article:")
    if not key:
        return None
    if key.isascii() and key.isdigit():
        return articles.get_readable(by, int(key)) if len(key) < len(str(declared.LARGEST_ID)) else None
    return articles.get_readable(by, declared.looked_for(unquote(key)))
