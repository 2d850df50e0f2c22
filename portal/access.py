"""Who may read what, and who may do what: the one rule.

A viewer carries audience tokens and an object carries the tokens that may read it; reading is allowed when the two sets
meet.  The same rule is written twice here, side by side: as tokens, for documents and engine filters, and as SQL
conditions, for queries.  A test holds them equal over generated viewers and objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, true

PUBLIC = "public"
CUSTOMERS = "customers"
STAFF = "staff"
EDITORS = "editors"


class Role(StrEnum):
    """What somebody is to the company; each later role of the staff may do all that the earlier may."""

    ANONYMOUS = "anonymous"
    CUSTOMER = "customer"
    AGENT = "agent"
    EDITOR = "editor"
    MANAGER = "manager"
    ADMIN = "admin"


class Audience(StrEnum):
    """Whom an article or a category is meant for, from the widest to the narrowest."""

    PUBLIC = "public"
    CUSTOMERS = "customers"
    INTERNAL = "internal"


class Permission(StrEnum):
    """One thing that a role may do.  Routes declare these; templates ask `viewer.can`."""

    READ = "read"
    KEEP_ACCOUNT = "keep_account"
    ASK = "ask"
    WORK_RECORDS = "work_records"
    READ_CUSTOMERS = "read_customers"
    WRITE_CUSTOMERS = "write_customers"
    READ_STAFF = "read_staff"
    WRITE_ARTICLES = "write_articles"
    PUBLISH_ARTICLES = "publish_articles"
    WRITE_VOCABULARY = "write_vocabulary"
    STEER_SEARCH = "steer_search"
    READ_REPORTS = "read_reports"
    EXPORT = "export"
    MANAGE_USERS = "manage_users"
    MANAGE_INDEX = "manage_index"
    READ_AUDIT = "read_audit"


_READER = frozenset({Permission.READ})
_CUSTOMER = _READER | {Permission.KEEP_ACCOUNT, Permission.ASK}
_AGENT = _CUSTOMER | {
    Permission.WORK_RECORDS,
    Permission.READ_CUSTOMERS,
    Permission.WRITE_CUSTOMERS,
    Permission.READ_STAFF,
    Permission.WRITE_ARTICLES,
}
_EDITOR = _AGENT | {
    Permission.PUBLISH_ARTICLES,
    Permission.WRITE_VOCABULARY,
    Permission.STEER_SEARCH,
}
_MANAGER = _EDITOR | {Permission.READ_REPORTS, Permission.EXPORT, Permission.READ_AUDIT}
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ANONYMOUS: _READER,
    Role.CUSTOMER: _CUSTOMER,
    Role.AGENT: _AGENT,
    Role.EDITOR: _EDITOR,
    Role.MANAGER: _MANAGER,
    Role.ADMIN: frozenset(Permission),
}
STAFF_ROLES = frozenset({Role.AGENT, Role.EDITOR, Role.MANAGER, Role.ADMIN})
_EDITING_ROLES = frozenset({Role.EDITOR, Role.MANAGER, Role.ADMIN})


class Forbidden(Exception):
    """The viewer may see the place but not do this.  Carries the missing permission."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(f"this needs the permission {permission.value!r}")
        self.permission = permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody who reads: what they are, and through which tokens they may read.  Build it with `viewer_for`."""

    role: Role
    tokens: frozenset[str]
    user_id: int | None = None
    customer_id: int | None = None

    @property
    def is_staff(self) -> bool:
        """Works for the company: agent, editor, manager or admin."""
        return self.role in STAFF_ROLES

    @property
    def is_signed_in(self) -> bool:
        """Is known by an account."""
        return self.user_id is not None

    def can(self, permission: Permission | str) -> bool:
        """Say whether this viewer's role holds the permission."""
        return Permission(permission) in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the permission is held."""
        if not self.can(permission):
            raise Forbidden(permission)

    def may_read(self, tokens: Iterable[str]) -> bool:
        """Say whether one of an object's tokens is held."""
        return not self.tokens.isdisjoint(tokens)


def viewer_for(role: Role, *, user_id: int | None = None, customer_id: int | None = None) -> Viewer:
    """Make the viewer for an account: its role, its user id and, for customers, the profile it belongs to."""
    tokens = {PUBLIC}
    if role != Role.ANONYMOUS:
        tokens.add(CUSTOMERS)
    if user_id is not None:
        tokens.add(user_token(user_id))
    if role == Role.CUSTOMER and customer_id is not None:
        tokens.add(customer_token(customer_id))
    if role in STAFF_ROLES:
        tokens.add(STAFF)
    if role in _EDITING_ROLES:
        tokens.add(EDITORS)
    return Viewer(role=role, tokens=frozenset(tokens), user_id=user_id, customer_id=customer_id)


ANONYMOUS = viewer_for(Role.ANONYMOUS)


def user_token(user_id: int) -> str:
    """Return the token that only this account holds."""
    return f"user:{user_id}"


def customer_token(customer_id: int) -> str:
    """Return the token that the accounts of this customer profile hold."""
    return f"customer:{customer_id}"


_AUDIENCE_TOKENS = {Audience.PUBLIC: PUBLIC, Audience.CUSTOMERS: CUSTOMERS, Audience.INTERNAL: STAFF}
_NARROWNESS = {audience: rank for rank, audience in enumerate(Audience)}


def narrowest(*audiences: Audience | str | None) -> Audience:
    """Return the narrowest of the given audiences; a category's audience narrows that of its articles."""
    return max((Audience(a) for a in audiences if a is not None), key=_NARROWNESS.__getitem__, default=Audience.PUBLIC)


def audience_is_readable(viewer: Viewer, audience: Audience | str) -> bool:
    """Say whether the viewer may know of something meant for this audience, such as a category."""
    return _AUDIENCE_TOKENS[Audience(audience)] in viewer.tokens


def article_tokens(
    *, state: str, audience: str, category_audience: str | None, owner_id: int | None, is_shared: bool
) -> frozenset[str]:
    """Return who may read an article.

    Published ones belong to their audience, narrowed by their category's.  A draft is its owner's and the editors',
    and all staff's once it is shared.  An archived article remains readable to staff.
    """
    if state == "published":
        return frozenset({_AUDIENCE_TOKENS[narrowest(audience, category_audience)]})
    if state == "archived":
        return frozenset({STAFF})
    tokens = {STAFF if is_shared else EDITORS}
    if owner_id is not None:
        tokens.add(user_token(owner_id))
    return frozenset(tokens)


def article_condition(
    viewer: Viewer,
    *,
    state: ColumnElement[Any],
    audience: ColumnElement[Any],
    category_audience: ColumnElement[Any],
    owner_id: ColumnElement[Any],
    is_shared: ColumnElement[Any],
) -> ColumnElement[bool]:
    """Return `article_tokens` as SQL for this viewer; `category_audience` may be null."""
    readable = [a.value for a in Audience if _AUDIENCE_TOKENS[a] in viewer.tokens]
    ways = [
        and_(
            state == "published",
            audience.in_(readable),
            or_(category_audience.is_(None), category_audience.in_(readable)),
        )
    ]
    if STAFF in viewer.tokens:
        ways.append(state == "archived")
        ways.append(and_(state.not_in(["published", "archived"]), is_shared.is_(True)))
    if EDITORS in viewer.tokens:
        ways.append(state.not_in(["published", "archived"]))
    if viewer.user_id is not None:
        ways.append(and_(state.not_in(["published", "archived"]), owner_id == viewer.user_id))
    return or_(*ways)


def record_tokens(*, customer_id: int | None, requester_id: int | None) -> frozenset[str]:
    """Return who may read a service record: staff, its customer's accounts, and whoever asked."""
    tokens = {STAFF}
    if customer_id is not None:
        tokens.add(customer_token(customer_id))
    if requester_id is not None:
        tokens.add(user_token(requester_id))
    return frozenset(tokens)


def record_condition(
    viewer: Viewer, *, customer_id: ColumnElement[Any], requester_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return `record_tokens` as SQL for this viewer."""
    if STAFF in viewer.tokens:
        return true()
    ways: list[ColumnElement[bool]] = [false()]
    if viewer.role == Role.CUSTOMER and viewer.customer_id is not None:
        ways.append(customer_id == viewer.customer_id)
    if viewer.user_id is not None:
        ways.append(requester_id == viewer.user_id)
    return or_(*ways)


def customer_tokens() -> frozenset[str]:
    """Return who may find a customer profile: staff.  Customers reach their own through their account page."""
    return frozenset({STAFF})


def customer_condition(viewer: Viewer) -> ColumnElement[bool]:
    """Return `customer_tokens` as SQL for this viewer."""
    return true() if STAFF in viewer.tokens else false()
