"""What the three resources share: finding words of the vocabulary by slug, pages of a query, moments as text."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask_babel import gettext
from sqlalchemy import Select, select

from portal.access import STAFF_ROLES, Viewer
from portal.accounts.models import User
from portal.declared import looked_for
from portal.errors import Invalid, Missing
from portal.extensions import count_rows, db
from portal.vocabulary import categories
from portal.vocabulary.models import Product


def missing() -> Missing:
    """Return the answer for what does not exist, or may not be known."""
    return Missing(gettext("There is nothing at this address."))


def load_list(
    wanted: Select[Any], model: Any, args: Mapping[str, Any], shape: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """Return one page of a query, newest first; `args` holds the page and equalities on the model's columns."""
    for name, value in args.items():
        if name not in ("page", "size"):
            wanted = wanted.where(getattr(model, name) == (looked_for(value) if isinstance(value, str) else value))
    total = count_rows(wanted, model.id)
    page, size = args["page"], args["size"]
    rows = db.session.scalars(
        wanted.order_by(model.updated_at.desc(), model.id.desc()).limit(size).offset((page - 1) * size)
    )
    return {"total": total, "page": page, "size": size, "items": [shape(row) for row in rows]}


def category_id(slug: str | None, viewer: Viewer) -> int | None:
    """Return the id of a category that the viewer may know of.

    Raises:
        Invalid: there is none of this slug.
    """
    if slug is None:
        return None
    found = categories.find(slug, viewer=viewer)
    if found is None:
        raise Invalid({"category": gettext("category: there is no category %(slug)s.", slug=repr(slug[:60]))})
    return found.id


def product_ids(slugs: list[str], field: str = "products") -> list[int]:
    """Return the ids of products, in one query.

    Raises:
        Invalid: one of the slugs is unknown.
    """
    known = dict(db.session.execute(select(Product.slug, Product.id).where(Product.slug.in_(slugs))).all())
    unknown = [slug for slug in slugs if slug not in known]
    if unknown:
        raise Invalid({field: gettext("%(field)s: there is no product %(slug)s.", field=field, slug=repr(unknown[0]))})
    return [known[slug] for slug in dict.fromkeys(slugs)]


def staff_id(email: str | None) -> int | None:
    """Return the id of a member of staff by their e-mail address.

    Raises:
        Invalid: there is none, or the address is a customer's.
    """
    if email is None:
        return None
    wanted = select(User.id).where(User.with_email(email.strip().lower()), User.role.in_(STAFF_ROLES), User.is_active)
    found = db.session.scalar(wanted)
    if found is None:
        raise Invalid({"assignee": gettext("assignee: there is no such member of staff.")})
    return found


def text_of(moment: datetime | None) -> str | None:
    """Return a moment in ISO 8601 with a Z."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
