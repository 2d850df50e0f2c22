"""The history of rules, step by step, and how a step is taken back.

A step holds what the rule was before and after.  It can be taken back while the rule is still as the step left it;
after a later change, that one has to go first, or the rule is edited by hand.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from flask_babel import gettext
from sqlalchemy import select

from portal import audit
from portal.access import Permission, Viewer
from portal.errors import Conflict, Missing
from portal.extensions import db
from portal.steering.models import RuleChange, SearchRule, Synonym

Ruled = TypeVar("Ruled", Synonym, SearchRule)
MODELS: Mapping[str, type[Synonym] | type[SearchRule]] = {"synonym": Synonym, "rule": SearchRule}
FIELDS = {
    "synonym": ("words", "others", "is_two_way", "is_active", "reason", "expires_at", "owner_id"),
    "rule": (
        "action", "words", "is_exact", "article_id", "position", "is_active", "reason", "expires_at", "owner_id",
    ),
}  # fmt: skip
MOMENTS = ("expires_at",)


def described(kind: str, thing: Synonym | SearchRule | None) -> dict[str, Any] | None:
    """Return a rule as JSON keeps it; None for one that is not there."""
    if thing is None:
        return None
    values = {field: getattr(thing, field) for field in FIELDS[kind]}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def note(
    kind: str, object_id: int, *, before: dict[str, Any] | None, after: dict[str, Any] | None, by: Viewer
) -> RuleChange:
    """Add a step inside the caller's transaction."""
    step = RuleChange(kind=kind, object_id=object_id, before=before, after=after, user_id=by.user_id)
    db.session.add(step)
    db.session.flush()
    return step


def put(kind: str, model: type[Ruled], thing: Ruled | None, values: Mapping[str, Any], *, by: Viewer) -> Ruled:
    """Make a rule, or change one, and add the step inside the caller's transaction."""
    before = described(kind, thing)
    if thing is None:
        thing = model(**{"owner_id": by.user_id, **values})
        db.session.add(thing)
    else:
        for field, value in values.items():
            setattr(thing, field, value)
    db.session.flush()
    after = described(kind, thing)
    if before != after:
        note(kind, thing.id, before=before, after=after, by=by)
    return thing


def remove(kind: str, thing: Synonym | SearchRule, *, by: Viewer) -> int:
    """Remove a rule inside the caller's transaction; returns the step by which it can be brought back."""
    step = note(kind, thing.id, before=described(kind, thing), after=None, by=by)
    db.session.delete(thing)
    db.session.flush()
    return step.id


def load_steps(kind: str, object_id: int, most: int = 20) -> list[RuleChange]:
    """Return a rule's latest steps, the newest first."""
    wanted = select(RuleChange).where(RuleChange.kind == kind, RuleChange.object_id == object_id)
    return list(db.session.scalars(wanted.order_by(RuleChange.id.desc()).limit(most)))


def load_removed(most: int = 10) -> list[RuleChange]:
    """Return the latest removals that have not been taken back, the newest first."""
    gone = select(RuleChange).where(RuleChange.after.is_(None), RuleChange.is_undone.is_(False))
    return list(db.session.scalars(gone.order_by(RuleChange.id.desc()).limit(most)))


def undo(step_id: int, *, by: Viewer) -> RuleChange:
    """Take a step back and commit.

    Raises:
        Forbidden: `by` may not steer the search.
        Missing: there is no such step.
        Conflict: the rule has been changed since.
    """
    by.require(Permission.STEER_SEARCH)
    step = db.session.get(RuleChange, step_id)
    if step is None:
        raise Missing(gettext("There is no such step."))
    model = MODELS[step.kind]
    thing: Synonym | SearchRule | None = db.session.get(model, step.object_id)  # type: ignore[assignment]
    current = described(step.kind, thing)
    if step.is_undone or current != step.after:
        raise Conflict(
            gettext("The rule has been changed since. Take the later step back first, or edit the rule."),
            current=current or {},
            given=step.before or {},
        )
    if step.before is None:
        db.session.delete(thing)
    elif thing is None:
        db.session.add(model(id=step.object_id, **_restored(step.before)))
    else:
        for field, value in _restored(step.before).items():
            setattr(thing, field, value)
    step.is_undone = True
    note(step.kind, step.object_id, before=step.after, after=step.before, by=by)
    audit.append(
        f"{step.kind}.undo",
        by=by,
        kind=step.kind,
        object_id=step.object_id,
        details={"words": (step.before or step.after or {}).get("words", "")},
    )
    db.session.commit()
    return step


def _restored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name in MOMENTS and value is not None else value
        for name, value in values.items()
    }
