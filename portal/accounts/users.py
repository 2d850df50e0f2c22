"""Accounts: making, inviting, changing and disabling them.  Every change stands in the audit log.

Whatever changes what somebody may do (role, company, password, second factor, disabling) ends all their sessions
and API tokens at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, and_, column, func, or_, select, table
from sqlalchemy.exc import IntegrityError

from portal import audit
from portal.access import Role, Viewer
from portal.accounts import passwords, second_factor, sessions, tokens
from portal.accounts.models import User
from portal.accounts.sign_in import find_user, normal_email
from portal.errors import Invalid, Missing, OperationError
from portal.extensions import count_rows, db
from portal.mail import messages

ROLES = tuple(role for role in Role if role != Role.ANONYMOUS)
LONGEST_NAME = 120
LOCALES = ("en", "zh")
PAGE_SIZE = 50
CUSTOMER = table("customer", column("id"))
"""Customers are a feature above this one; all that is asked here is whether one exists."""


def create(
    *,
    name: str,
    email: str,
    role: Role | str,
    by: Viewer | None,
    customer_id: int | None = None,
    password: str | None = None,
    locale: str | None = None,
) -> User:
    """Make an account and commit; without a password it waits for an invitation or a reset.

    Raises:
        Invalid: names the fields that cannot be used.
    """
    user = _new(name=name, email=email, role=role, customer_id=customer_id, locale=locale, password=password)
    return _save_new(user, action="user.created", by=by)


def invite(
    *,
    name: str,
    email: str,
    role: Role | str,
    by: Viewer | None,
    customer_id: int | None = None,
    locale: str | None = None,
) -> User:
    """Make an account, mail its owner a link to choose a password, and commit.

    Raises:
        Invalid: names the fields that cannot be used.
    """
    user = _new(name=name, email=email, role=role, customer_id=customer_id, locale=locale, password=None)
    return _save_new(user, action="user.invited", by=by, is_invited=True)


def send_invitation(user: User, *, by: Viewer | None) -> None:
    """Mail another invitation, void the earlier one, and commit.

    Raises:
        OperationError: the account is disabled or has a password already.
    """
    if not user.is_active or user.password_hash is not None:
        raise OperationError(gettext("Only somebody who is active and has no password yet can be invited."))
    _mail_invitation(user, by=by)
    audit.append("user.invited", by=by, kind="user", object_id=user.id)
    db.session.commit()


def set_role(user: User, role: Role | str, *, customer_id: int | None, by: Viewer | None) -> None:
    """Give an account another role, or a customer another company; end everything and commit.

    Raises:
        Invalid: there is no such role or customer, or nobody would be left to administer.
    """
    chosen = _checked_role(role)
    company = _checked_customer(chosen, customer_id)
    if (chosen, company) == (user.role, user.customer_id):
        return
    before = user.role
    user.role, user.customer_id = chosen.value, company
    sessions.end_all(user)
    audit.append(
        "user.role_set",
        by=by,
        kind="user",
        object_id=user.id,
        details={"from": before, "to": chosen.value, "customer_id": company},
    )
    _keep_an_administrator()
    db.session.commit()


def disable(user: User, *, by: Viewer | None) -> None:
    """Shut an account, end everything and commit.  What its owner wrote stays.

    Raises:
        Invalid: nobody would be left to administer.
    """
    if not user.is_active:
        return
    user.is_active = False
    tokens.forget(user)
    sessions.end_all(user)
    audit.append("user.disabled", by=by, kind="user", object_id=user.id)
    _keep_an_administrator()
    db.session.commit()


def enable(user: User, *, by: Viewer | None) -> None:
    """Open a disabled account again and commit; its owner signs in anew."""
    if user.is_active:
        return
    user.is_active = True
    audit.append("user.enabled", by=by, kind="user", object_id=user.id)
    db.session.commit()


def set_password(user: User, password: str, *, by: Viewer | None) -> None:
    """Set a password, end everything, tell the owner by mail, and commit.

    Raises:
        Invalid: the password is too short, too long or too common.
    """
    _set_password(user, password)
    audit.append("user.password_set", by=by, kind="user", object_id=user.id)
    db.session.commit()


def sign_out_everywhere(user: User, *, by: Viewer | None) -> None:
    """End every session and API token of an account, and commit."""
    sessions.end_all(user)
    audit.append("user.signed_out_everywhere", by=by, kind="user", object_id=user.id)
    db.session.commit()


def ask_reset(email: str) -> bool:
    """Mail a link to choose a new password, if there is such an account, and commit.  The answer is for tests alone."""
    user = find_user(email)
    if user is None or not user.is_active:
        return False
    token = tokens.issue(user, "reset")
    messages.queue(
        user.email,
        "reset",
        language=user.locale,
        name=user.name,
        token=token,
        minutes=int(tokens.LIFETIMES["reset"].total_seconds() // 60),
    )
    db.session.commit()
    return True


def choose_password(token: str, purpose: str, password: str) -> User:
    """Use an invitation or a reset up, set the password, end everything, and commit.

    Raises:
        Missing: the token was used, has run out, or never was.
        Invalid: the password cannot be used; the token stays good.
    """
    user = tokens.owner_of(token, purpose)
    if user is None:
        raise Missing(gettext("This link was used already or has run out."))
    complaint = passwords.complaint(password, email=user.email, name=user.name)
    if complaint:
        raise Invalid({"password": complaint})
    used = tokens.use(token, purpose)
    if used is None:
        db.session.rollback()
        raise Missing(gettext("This link was used already or has run out."))
    _set_password(used, password)
    audit.append(f"user.{purpose}_used", by=used.viewer, kind="user", object_id=used.id)
    db.session.commit()
    return used


def set_profile(user: User, *, name: str, locale: str | None) -> None:
    """Set what somebody is called and reads, and commit.

    Raises:
        Invalid: the name is empty or too long, or there is no such language.
    """
    user.name = _checked_name(name)
    user.locale = _checked_locale(locale)
    audit.append("user.profile_set", by=user.viewer, kind="user", object_id=user.id)
    db.session.commit()


def reseal(user: User) -> None:
    """Seal what an account keeps sealed with the secret key of today."""
    user.email = user.email
    second_factor.reseal(user)


def load_user(user_id: int) -> User:
    """Load an account.

    Raises:
        Missing: there is none.
    """
    user = db.session.get(User, user_id) if 0 < user_id < 2**31 else None
    if user is None:
        raise Missing(gettext("There is no such user."))
    return user


def load_named(name: str) -> User:
    """Load the account that a command names: by its e-mail address or, where only one has it, by its name.

    Raises:
        Missing: there is none.
        OperationError: several have this name.
    """
    user = find_user(name)
    if user is not None:
        return user
    named = db.session.scalars(select(User).where(func.lower(User.name) == name.strip().lower()).limit(2)).all()
    if not named:
        raise Missing(f"There is no user {name!r}. Give the e-mail address or the name of one.")
    if len(named) > 1:
        raise OperationError(f"Several users are called {name!r}. Give the e-mail address of one.")
    return named[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """One page of the list of users."""

    users: list[User]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))


def load_page(*, words: str = "", role: str = "", state: str = "", page: int = 1) -> UserPage:
    """Load users by name, whose name holds the words or whose address is one of them.

    `state` is active, disabled, invited or empty.
    """
    storable = words.replace("\0", "").encode("utf-8", "ignore").decode()
    wanted: list[ColumnElement[bool]] = [
        or_(User.name.icontains(word, autoescape=True), User.with_email(normal_email(word)))
        for word in storable.split()[:10]
    ]
    if role in ROLES:
        wanted.append(User.role == role)
    states: dict[str, ColumnElement[bool]] = {
        "active": User.is_active.is_(True),
        "disabled": User.is_active.is_(False),
        "invited": and_(User.is_active, User.password_hash.is_(None)),
    }
    if state in states:
        wanted.append(states[state])
    chosen: Select[User] = select(User).where(*wanted)
    total = count_rows(chosen, User.id)
    page = min(max(1, page), max(1, -(-total // PAGE_SIZE)))
    rows = db.session.scalars(
        chosen.order_by(func.lower(User.name), User.id).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)
    )
    return UserPage(users=list(rows), total=total, page=page)


def _new(
    *, name: str, email: str, role: Role | str, customer_id: int | None, locale: str | None, password: str | None
) -> User:
    """Check everything at once, so that a form shows all that is wrong with it."""
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    checks: dict[str, Callable[[], object]] = {
        "name": lambda: _checked_name(name),
        "email": lambda: _checked_email(email),
        "role": lambda: _checked_role(role),
        "locale": lambda: _checked_locale(locale),
    }
    for field, check in checks.items():
        try:
            values[field] = check()
        except Invalid as error:
            wrong |= error.fields
    if "role" in values:
        try:
            values["customer_id"] = _checked_customer(values["role"], customer_id)
        except Invalid as error:
            wrong |= error.fields
    complaint = passwords.complaint(password, email=email, name=name) if password is not None else None
    if complaint:
        wrong["password"] = complaint
    if wrong:
        raise Invalid(wrong)
    return User(**values, password_hash=passwords.hash_of(password) if password is not None else None)


def _save_new(user: User, *, action: str, by: Viewer | None, is_invited: bool = False) -> User:
    db.session.add(user)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise Invalid({"email": _taken()}) from None
    if is_invited:
        _mail_invitation(user, by=by)
    audit.append(
        action,
        by=by,
        kind="user",
        object_id=user.id,
        details={"role": str(user.role), "customer_id": user.customer_id},
    )
    db.session.commit()
    return user


def _mail_invitation(user: User, *, by: Viewer | None) -> None:
    inviter = db.session.get(User, by.user_id) if by is not None and by.user_id is not None else None
    messages.queue(
        user.email,
        "invitation",
        language=user.locale,
        name=user.name,
        inviter=inviter.name if inviter else "",
        token=tokens.issue(user, "invitation"),
        minutes=int(tokens.LIFETIMES["invitation"].total_seconds() // 60),
    )


def _set_password(user: User, password: str) -> None:
    complaint = passwords.complaint(password, email=user.email, name=user.name)
    if complaint:
        raise Invalid({"password": complaint})
    had_one = user.password_hash is not None
    user.password_hash = passwords.hash_of(password)
    tokens.forget(user)
    sessions.end_all(user)
    if had_one:
        messages.queue(user.email, "password_changed", language=user.locale, name=user.name)


def _keep_an_administrator() -> None:
    """Refuse, and undo, what would leave nobody to administer.

    Called after the audit entry, whose lock orders such changes: of two administrators who shut each other's
    accounts at once, the second sees the first's change.
    """
    left = db.session.scalar(
        select(func.count()).select_from(User).where(User.role == Role.ADMIN.value, User.is_active)
    )
    if not left:
        db.session.rollback()
        raise Invalid(
            {"role": gettext("Nobody would be left to administer. Make somebody else an administrator first.")}
        )


def _checked_name(name: str) -> str:
    plain = " ".join(name.split())
    if not plain or not plain.isprintable():
        raise Invalid({"name": gettext("Type a name.")})
    if len(plain) > LONGEST_NAME:
        raise Invalid({"name": gettext("A name has at most %(most)d characters.", most=LONGEST_NAME)})
    return plain


def _checked_email(email: str) -> str:
    try:
        normal = normal_email(validate_email(email.strip(), check_deliverability=False).normalized)
    except EmailNotValidError:
        raise Invalid(
            {
                "email": gettext(
                    "%(email)s is not an e-mail address. One looks like name@example.com.", email=repr(email[:100])
                )
            }
        ) from None
    if find_user(normal) is not None:
        raise Invalid({"email": _taken()})
    return normal


def _taken() -> str:
    return str(gettext("Somebody has this e-mail address already."))


def _checked_role(role: Role | str) -> Role:
    if role not in ROLES:
        raise Invalid({"role": gettext("Choose one of the roles: %(roles)s.", roles=", ".join(ROLES))})
    return Role(role)


def _checked_customer(role: Role, customer_id: int | None) -> int | None:
    """A customer may belong to a company; staff belong to none."""
    if role != Role.CUSTOMER or customer_id is None:
        return None
    if (
        not 0 < customer_id < 2**31
        or db.session.scalar(select(CUSTOMER.c.id).where(CUSTOMER.c.id == customer_id)) is None
    ):
        raise Invalid({"customer_id": gettext("There is no customer %(id)d.", id=customer_id)})
    return customer_id


def _checked_locale(locale: str | None) -> str | None:
    if not locale:
        return None
    if locale not in LOCALES:
        raise Invalid({"locale": gettext("Choose one of the languages.")})
    return locale
