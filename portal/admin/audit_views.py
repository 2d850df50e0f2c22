"""The audit log: who did what, when, to which object."""

from datetime import UTC, datetime, timedelta

from flask import Blueprint, render_template, request
from sqlalchemy import func, or_, select

from portal import audit
from portal.access import Permission
from portal.accounts.guard import needs
from portal.accounts.models import User
from portal.extensions import db

EARLIEST_YEAR, LATEST_YEAR = 1900, 2200
FILTERS = ("who", "action", "kind", "object", "since", "until")

blueprint = Blueprint("audit", __name__, url_prefix="/admin/audit")


@blueprint.get("")
@needs(Permission.READ_AUDIT)
def show() -> str:
    """Filter the log, the newest entries first."""
    wanted = {name: request.args.get(name, "").strip()[:100] for name in FILTERS}
    until = _day(wanted["until"])
    page = audit.load_page(
        action=wanted["action"],
        kind=wanted["kind"],
        object_id=_number(wanted["object"]),
        user_ids=_people(wanted["who"]),
        since=_day(wanted["since"]),
        until=until + timedelta(days=1) if until else None,
        before=request.args.get("before", type=int),
    )
    ids = {entry.user_id for entry in page.entries if entry.user_id is not None}
    names = {user.id: user.name for user in db.session.scalars(select(User).where(User.id.in_(ids)))}
    return render_template(
        "admin/audit.html",
        page=page,
        wanted=wanted,
        names=names,
        actions=audit.load_actions(),
        kinds=audit.load_kinds(),
    )


def _people(typed: str) -> list[int] | None:
    """Return whom a part of a name, or an address, means; None where nothing was typed."""
    if not typed:
        return None
    plain = typed.replace("\0", "").lower()
    if not plain:
        return []
    return list(
        db.session.scalars(
            select(User.id).where(or_(func.lower(User.name).contains(plain, autoescape=True), User.with_email(plain)))
        )
    )


def _number(typed: str) -> int | None:
    """Return a number; what is none finds nothing."""
    if not typed:
        return None
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else -1


def _day(typed: str) -> datetime | None:
    """Return the beginning of a day; what is none, or lies beyond all calendars in use, is no limit."""
    try:
        day = datetime.strptime(typed, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if EARLIEST_YEAR <= day.year <= LATEST_YEAR else None
