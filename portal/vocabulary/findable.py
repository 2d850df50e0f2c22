"""What the search asks of the vocabulary: how categories, products and tags are called, and how they lie."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import aliased

from portal.access import Viewer, audience_is_readable
from portal.extensions import db
from portal.search.sources import Labels, Place
from portal.vocabulary.models import Category, Product, Tag


def _names_of(model: Any) -> Labels:
    # Every search asks: the statement is made once, and rows are read several times faster than objects.
    names = select(model.slug, model.name, model.name_zh).where(model.slug.in_(bindparam("slugs", expanding=True)))

    def labels(slugs: Collection[str], locale: str) -> Mapping[str, str]:
        """Return slug → name in the reader's language."""
        rows = db.session.execute(names, {"slugs": list(slugs)})
        return {slug: (name_zh if locale.startswith("zh") else None) or name for slug, name, name_zh in rows}

    return labels


LABELS: Mapping[str, Labels] = {"category": _names_of(Category), "product": _names_of(Product), "tag": _names_of(Tag)}


_ABOVE = aliased(Category)
_PARENTS = select(Category.slug, _ABOVE.slug).join(_ABOVE, Category.parent_id == _ABOVE.id)


def category_parents() -> Mapping[str, str]:
    """Return each category's slug with the slug of the one above it."""
    return {row[0]: row[1] for row in db.session.execute(_PARENTS)}


def find_categories(viewer: Viewer, text: str, locale: str, limit: int) -> list[Place]:
    """Return the topics that the viewer may know of and whose name has a word that begins like the text."""
    wanted = text.lower()
    rows = db.session.execute(
        select(Category.slug, Category.name, Category.name_zh, Category.effective_audience)
        .where(
            or_(
                func.lower(Category.name).contains(wanted, autoescape=True),
                func.lower(Category.name_zh).contains(wanted, autoescape=True),
            )
        )
        .order_by(func.length(Category.name), Category.name)
        .limit(limit * 10)
    )
    found = []
    for slug, name, name_zh, audience in rows:
        begins = re.search(rf"(?<!\w){re.escape(wanted)}", name.lower()) or wanted in (name_zh or "").lower()
        if begins and audience_is_readable(viewer, audience):
            shown = (name_zh if locale.startswith("zh") else None) or name
            found.append(Place(name=shown, url=f"/categories/{slug}"))
    return found[:limit]
