"""What categories, products and tags have in common: names, slugs, and which objects carry them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from portal import outbox
from portal.errors import Invalid
from portal.extensions import Base, db
from portal.slugs import free_slugs, slug_for
from portal.vocabulary.models import Category, Named, Product, Tag

LONGEST_NAME = 120
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")

Word = TypeVar("Word", Category, Product, Tag)

# The features that carry these words lie above this one, so their tables go by name: (kind, table, id, column).  Kinds
# stand in the order in which the worker locks their rows of the outbox.
USES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "category": (("article", "article", "id", "category_id"), ("record", "record", "id", "category_id")),
    "product": (
        ("article", "article_product", "article_id", "product_id"),
        ("customer", "customer_product", "customer_id", "product_id"),
        ("record", "record", "id", "product_id"),
    ),
    "tag": (
        ("article", "article_tag", "article_id", "tag_id"),
        ("customer", "customer_tag", "customer_id", "tag_id"),
        ("record", "record_tag", "record_id", "tag_id"),
    ),
}


def table(name: str) -> Table:
    """Return a table of a feature above by its name."""
    return Base.metadata.tables[name]


def record_uses(word: str, ids: Iterable[int] | Select[int]) -> None:
    """Note that every object carrying one of these words must be indexed again: one statement a kind."""
    wanted: Any = ids if isinstance(ids, Select) else list(ids)
    for kind, name, id_column, column in USES[word]:
        columns = table(name).c
        outbox.record_where(kind, select(columns[id_column]).where(columns[column].in_(wanted)).distinct())


def count_uses(word: str, kind: str) -> dict[int, int]:
    """Return word id → how many objects of a kind carry it.  For editors: it counts what no reader may see, too."""
    name, column = next((u[1], u[3]) for u in USES[word] if u[0] == kind)
    carrying = table(name).c[column]
    rows = db.session.execute(select(carrying, func.count()).where(carrying.is_not(None)).group_by(carrying))
    return {row[0]: row[1] for row in rows}


def checked_line(value: object, *, most: int = LONGEST_NAME) -> str:
    """Return text on one line, without outer blanks.

    Raises:
        ValueError: the sentence says why it cannot be stored.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(gettext("This must be text."))
    if _UNSTORABLE.search(value):
        raise ValueError(gettext("This holds characters that cannot be stored. Type it anew."))
    line = " ".join(value.split())
    if len(line) > most:
        raise ValueError(gettext("This is longer than %(most)s characters. Shorten it.", most=most))
    return line


def checked_names(changes: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """Return `name` and `name_zh` from the changes, checked.

    Raises:
        Invalid: a name is missing or cannot be stored.
    """
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in ("name", "name_zh"):
        if field not in changes and not (is_new and field == "name"):
            continue
        try:
            values[field] = checked_line(changes.get(field))
        except ValueError as error:
            errors[field] = str(error)
    if "name" in values and not values["name"]:
        errors["name"] = gettext("Give it a name.")
    if "name_zh" in values:
        values["name_zh"] = values["name_zh"] or None
    if errors:
        raise Invalid(errors)
    return values


def refuse_unknown(changes: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Raise `Invalid` for a field that is not declared."""
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise Invalid({name: gettext("There is no field %(name)r.", name=name) for name in unknown})


def free_slug(model: type[Named], name: str) -> str:
    """Return a slug for a new word that no other of its kind has."""
    return free_slugs([slug_for(name)], model.slug)[0]


def find_or_create(model: type[Word], names: Iterable[str]) -> dict[str, Word]:
    """Return name → word for all names, making those that are missing, inside the caller's transaction.

    Upper and lower case are the same word, and a slug is as good as a name.  Names must be checked lines.
    """
    wanted = list(dict.fromkeys(name for name in names if name))
    known = _known(model, wanted)
    is_first_try = True
    while missing := _unlike([name for name in wanted if name.lower() not in known]):
        plain = [slug_for(name) for name in missing]
        # Whoever makes the same word at this moment asks for the same plain slug, and only one of both gets it.
        _insert(model, missing, plain if is_first_try else free_slugs(plain, model.slug))
        known |= _known(model, missing)
        is_first_try = False
    return {name: known[name.lower()] for name in wanted}


def _known(model: type[Word], names: Sequence[str]) -> dict[str, Word]:
    """Return the words that are there, by their lowered names, and by slug where a name is one."""
    known: dict[str, Word] = {}
    lowered: ColumnElement[str] = func.lower(model.name)
    for start in range(0, len(names), 400):
        chunk = names[start : start + 400]
        # SQLite lowers ASCII alone, so the name as written is asked for, too.
        condition = lowered.in_([name.lower() for name in chunk]) | model.name.in_(chunk) | model.slug.in_(chunk)
        found = db.session.scalars(select(model).where(condition)).all()
        known |= {word.slug: word for word in found if word.slug in chunk}
        known |= {word.name.lower(): word for word in found}
    return known


def _unlike(names: Iterable[str]) -> list[str]:
    """Return the names without those that differ from an earlier one in upper and lower case alone."""
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(name.lower(), name)
    return list(kept.values())


def _insert(model: type[Word], names: Sequence[str], slugs: Sequence[str]) -> None:
    """Make those words whose slugs are free.  In the order of the slugs, so that two never wait for each other."""
    rows = [{"slug": slug, "name": name} for slug, name in sorted(zip(slugs, names, strict=True))]
    db.session.flush()
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    db.session.execute(dialect.insert(model).on_conflict_do_nothing(index_elements=["slug"]), rows)
