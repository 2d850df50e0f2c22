"""Words of the vocabulary by what people call them: a slug or a name, in either language, in any case."""

import re
import unicodedata
from collections.abc import Collection
from typing import TypeVar

from sqlalchemy import func, or_, select

from portal.extensions import db
from portal.vocabulary.models import Category, Product, Tag

Word = TypeVar("Word", Category, Product, Tag)
LONGEST = 120


def slug_for(name: str) -> str:
    """Return what a name looks like in an address; letters of every script are kept."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\W_]+", "-", plain).strip("-")[:LONGEST] or "word"


def load_named(model: type[Word], names: Collection[str]) -> dict[str, Word]:
    """Return the words that exist, by the names they were asked for."""
    wanted = {name.casefold() for name in names}
    if not wanted:
        return {}
    # SQLite's lower() knows ASCII only, so the slug finds what differs in other letters' case.
    slugs = {slug_for(name) for name in names}
    rows = db.session.scalars(
        select(model)
        .where(or_(model.slug.in_(wanted | slugs), func.lower(model.name).in_(wanted), model.name_zh.in_(list(names))))
        .order_by(model.id.desc())
    ).all()
    by_slug = {row.slug: row for row in rows}
    by_name = {
        called.casefold(): row for row in rows for called in (row.slug, row.name_zh, row.name) if called is not None
    }
    found: dict[str, Word] = {}
    for name in names:
        row = by_name.get(name.casefold()) or by_slug.get(slug_for(name))
        if row is not None and (row.name.casefold() == name.casefold() or name.casefold() in by_name):
            found[name] = row
    return found


def load_or_add(model: type[Word], names: Collection[str]) -> dict[str, Word]:
    """Return the words by the names they were asked for; what does not exist is added to the caller's transaction."""
    found = load_named(model, names)
    missing: dict[str, str] = {}
    for name in names:
        if name not in found:
            missing.setdefault(name.casefold(), name)
    if missing:
        wanted = {slug_for(name) for name in missing.values()}
        taken = set(db.session.scalars(select(model.slug).where(model.slug.in_(wanted))))
        added: dict[str, Word] = {}
        for key, name in missing.items():
            base, slug, count = slug_for(name), slug_for(name), 1
            while slug in taken:
                count += 1
                slug = f"{base[: LONGEST - 5]}-{count}"
                if db.session.scalar(select(model.id).where(model.slug == slug)) is not None:
                    taken.add(slug)
            taken.add(slug)
            added[key] = model(name=name, slug=slug)
            db.session.add(added[key])
        db.session.flush()
        found |= {name: added[name.casefold()] for name in names if name.casefold() in added}
    return found
