"""Who answers for a rule: somebody whose account is in use and who may steer the search."""

from collections.abc import Iterable

from flask_babel import gettext
from sqlalchemy import func, select

from portal.access import Permission, Role, viewer_for
from portal.accounts.models import User
from portal.errors import Invalid
from portal.extensions import db
from portal.steering.models import RuleChange, Steered

ROLES = [role for role in Role if viewer_for(role).can(Permission.STEER_SEARCH)]


def load_possible() -> list[User]:
    """Return everybody who can own a rule, by name."""
    able = (User.is_active.is_(True), User.role.in_(ROLES))
    return list(db.session.scalars(select(User).where(*able).order_by(func.lower(User.name), User.id)))


def checked(value: object, rule: Steered | None) -> int | None:
    """Return the number of a new owner's account; whoever owns the rule already may go on.

    Raises:
        Invalid: there is no such account, it is disabled, or it may not steer the search.
    """
    current = rule.owner.id if rule is not None and rule.owner is not None else None
    if rule is not None and value == current:
        return current
    user = db.session.get(User, value) if isinstance(value, int) and not isinstance(value, bool) else None
    if user is None or not user.is_active or user.role not in ROLES:
        raise Invalid({"": gettext("Choose somebody whose account is in use and who may steer the search.")})
    return user.id


def names_in(steps: Iterable[RuleChange]) -> dict[int, str]:
    """Return account → name of all owners that some steps speak of."""
    sides = [side for step in steps for side in (step.before, step.after) if side]
    numbers = {side["owner_id"] for side in sides if side.get("owner_id") is not None}
    return {row.id: row.name for row in db.session.execute(select(User.id, User.name).where(User.id.in_(numbers)))}
