"""Operations on the tree of categories.  A category's audience narrows that of everything below it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask_babel import gettext
from sqlalchemy import case, select, update

from portal import audit, outbox
from portal.access import Audience, Permission, Viewer, audience_is_readable, narrowest
from portal.errors import Conflict, Invalid
from portal.extensions import count_affected, db
from portal.slugs import free_slugs, slug_for
from portal.vocabulary import words
from portal.vocabulary.models import Category

FIELDS = ("name", "name_zh", "description", "description_zh", "audience", "position", "parent_id")
DEEPEST = 8


def create(*, by: Viewer, changes: Mapping[str, Any]) -> Category:
    """Make a category and commit it.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: a value cannot be used.
    """
    by.require(Permission.WRITE_VOCABULARY)
    values = _checked(changes, is_new=True)
    category = Category(slug=words.free_slug(Category, values["name"]), effective_audience="public", **values)
    db.session.add(category)
    db.session.flush()
    _settle(category)
    audit.append("category.create", by=by, kind="category", object_id=category.id, details={"name": category.name})
    db.session.commit()
    return category


def save(category: Category, *, by: Viewer, changes: Mapping[str, Any], expected_version: int | None = None) -> None:
    """Change a category and commit; everything it holds, and what lies below, is indexed again.  Its slug stays.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: a value cannot be used; a category cannot lie below itself.
        Conflict: somebody saved it in between.
    """
    by.require(Permission.WRITE_VOCABULARY)
    values = _checked(changes, is_new=False)
    expected = category.version if expected_version is None else expected_version
    # The first statement is a write: it takes SQLite's lock, or the row's, before the tree is read.
    taken = db.session.execute(
        update(Category)
        .where(Category.id == category.id, Category.version == expected)
        .values(version=Category.version + 1)
        .execution_options(synchronize_session=False)
    )
    if count_affected(taken) == 0:
        db.session.rollback()
        db.session.refresh(category)
        raise Conflict(
            gettext("Somebody has saved this category in between. Compare both and save again."),
            current=described(category),
            given=dict(values),
        )
    db.session.refresh(category)
    before = described(category)
    for field, value in values.items():
        setattr(category, field, value)
    try:
        _settle(category)
    except Invalid:
        db.session.rollback()
        raise
    below = _below(category.id)
    words.record_uses("category", below)
    after = described(category)
    audit.append(
        "category.save",
        by=by,
        kind="category",
        object_id=category.id,
        details={name: [before[name], after[name]] for name in after if before[name] != after[name]},
    )
    db.session.commit()
    outbox.nudge()


def move(category: Category, *, by: Viewer, parent_id: int | None, position: int = 0) -> None:
    """Put a category elsewhere in the tree and commit.  Raises as `save` does."""
    save(category, by=by, changes={"parent_id": parent_id, "position": position})


def delete(category: Category, *, by: Viewer) -> None:
    """Remove an empty branch and commit; what it held moves up, and nobody can read more than before.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: other categories lie below it.
    """
    by.require(Permission.WRITE_VOCABULARY)
    if category.children:
        raise Invalid({"": gettext("Categories lie below this one. Move or delete them first.")})
    parent = category.parent
    words.record_uses("category", [category.id])
    article, record = words.table("article"), words.table("record")
    # Articles that only the category kept from wider audiences are narrowed themselves before it goes.
    narrow = Audience(category.effective_audience)
    wider = [a.value for a in Audience if narrowest(a, narrow) != a]
    db.session.execute(
        update(article)
        .where(article.c.category_id == category.id)
        .values(
            category_id=parent.id if parent else None,
            audience=case((article.c.audience.in_(wider), narrow.value), else_=article.c.audience),
            version=article.c.version + 1,
        )
    )
    db.session.execute(
        update(record)
        .where(record.c.category_id == category.id)
        .values(category_id=parent.id if parent else None, version=record.c.version + 1)
    )
    db.session.expire_all()
    name, category_id = category.name, category.id
    db.session.delete(category)
    db.session.flush()
    audit.append("category.delete", by=by, kind="category", object_id=category_id, details={"name": name})
    db.session.commit()
    outbox.nudge()


def find_or_create_paths(paths: Iterable[Sequence[str]]) -> dict[tuple[str, ...], Category]:
    """Return path → category, making what is missing, inside the caller's transaction.

    A path is the names from the root down; upper and lower case are the same.  A single name or slug is looked for
    in the whole tree before it becomes a category of the first level.
    """
    wanted = {tuple(path) for path in paths if path}
    if not wanted:
        return {}
    known: dict[tuple[int | None, str], Category] = {
        (category.parent_id, category.name.lower()): category for category in db.session.scalars(select(Category))
    }
    found = _found_by_one_name(wanted, known)
    # Level by level, so that however many are missing, each level is one insert.
    for depth in range(DEEPEST):
        missing: dict[tuple[int | None, str], tuple[Category | None, str]] = {}
        for path in sorted(path for path in wanted - found.keys() if len(path) > depth):
            parent = _follow(path[:depth], known)
            key = (parent.id if parent else None, path[depth].lower())
            if key not in known:
                missing.setdefault(key, (parent, path[depth]))
        _make_level(missing, known)
    return found | {path: known_one for path in wanted - found.keys() if (known_one := _follow(path[:DEEPEST], known))}


def _found_by_one_name(
    wanted: Iterable[tuple[str, ...]], known: Mapping[tuple[int | None, str], Category]
) -> dict[tuple[str, ...], Category]:
    """Return the categories, anywhere in the tree, of the paths that are a single name or slug."""
    anywhere: dict[str, Category] = {}
    for category in sorted(known.values(), key=lambda c: (c.parent_id is not None, c.id)):
        anywhere.setdefault(category.name.lower(), category)
        anywhere.setdefault(category.slug, category)
    return {path: anywhere[path[0].lower()] for path in wanted if len(path) == 1 and path[0].lower() in anywhere}


def _follow(path: Sequence[str], known: Mapping[tuple[int | None, str], Category]) -> Category | None:
    here: Category | None = None
    for name in path:
        here = known[(here.id if here else None, name.lower())]
    return here


def _make_level(
    missing: Mapping[tuple[int | None, str], tuple[Category | None, str]],
    known: dict[tuple[int | None, str], Category],
) -> None:
    slugs = free_slugs([slug_for(name) for _, name in missing.values()], Category.slug)
    for (key, (parent, name)), slug in zip(missing.items(), slugs, strict=True):
        known[key] = Category(
            name=name,
            slug=slug,
            parent_id=key[0],
            effective_audience=parent.effective_audience if parent else "public",
        )
        db.session.add(known[key])
    if missing:
        db.session.flush()


def find(slug: str, *, viewer: Viewer) -> Category | None:
    """Return the category of a slug if the viewer may know of it."""
    category = db.session.scalar(select(Category).where(Category.slug == slug))
    return category if category and audience_is_readable(viewer, category.effective_audience) else None


def load_all(viewer: Viewer) -> list[Category]:
    """Return all categories that the viewer may know of, in the order of the tree, each level by position and name."""
    rows = db.session.scalars(select(Category).order_by(Category.position, Category.name)).all()
    children: dict[int | None, list[Category]] = {}
    for category in rows:
        children.setdefault(category.parent_id, []).append(category)
    ordered: list[Category] = []

    def walk(parent_id: int | None) -> None:
        for category in children.get(parent_id, ()):
            if audience_is_readable(viewer, category.effective_audience):
                ordered.append(category)
                walk(category.id)

    walk(None)
    return ordered


def ids_below(category_id: int) -> list[int]:
    """Return the ids of a category and of all that lie below it."""
    return _below(category_id)


def described(category: Category) -> dict[str, Any]:
    """Return a category's declared fields."""
    return {field: getattr(category, field) for field in FIELDS}


def _checked(changes: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    words.refuse_unknown(changes, FIELDS)
    values = words.checked_names(changes, is_new=is_new)
    errors: dict[str, str] = {}
    for field in {"description", "description_zh"} & changes.keys():
        _read_line(field, changes[field], values, errors)
    if "audience" in changes:
        if changes["audience"] in set(Audience):
            values["audience"] = str(changes["audience"])
        else:
            errors["audience"] = gettext("Choose one of: %(choices)s.", choices=", ".join(Audience))
    if "position" in changes:
        position = changes["position"]
        if isinstance(position, int) and not isinstance(position, bool) and 0 <= position <= 100_000:
            values["position"] = position
        else:
            errors["position"] = gettext("Give a whole number from 0 to 100000.")
    if "parent_id" in changes:
        parent_id = changes["parent_id"]
        if parent_id is not None and (not isinstance(parent_id, int) or db.session.get(Category, parent_id) is None):
            errors["parent_id"] = gettext("There is no such category. Choose another.")
        values["parent_id"] = parent_id
    if errors:
        raise Invalid(errors)
    return values


def _read_line(field: str, value: object, values: dict[str, Any], errors: dict[str, str]) -> None:
    try:
        values[field] = words.checked_line(value, most=2000)
    except ValueError as error:
        errors[field] = str(error)


def _settle(category: Category) -> None:
    """Bring the effective audiences below a category up to date.

    Raises:
        Invalid: the tree would have a loop or be too deep.
    """
    db.session.flush()
    everything = {c.id: c for c in db.session.scalars(select(Category).with_for_update(key_share=True))}
    depth, above, seen = 0, category.parent_id, {category.id}
    while above is not None:
        if above in seen:
            raise Invalid({"parent_id": gettext("A category cannot lie below itself. Choose another place.")})
        seen.add(above)
        above = everything[above].parent_id
        depth += 1
    if depth >= DEEPEST:
        raise Invalid({"parent_id": gettext("The tree would be deeper than %(most)s levels.", most=DEEPEST)})
    children: dict[int | None, list[Category]] = {}
    for other in everything.values():
        children.setdefault(other.parent_id, []).append(other)
    waiting = [category]
    while waiting:
        here = waiting.pop()
        above_audience = everything[here.parent_id].effective_audience if here.parent_id is not None else None
        here.effective_audience = narrowest(here.audience, above_audience).value
        waiting += children.get(here.id, [])
    db.session.flush()


def _below(category_id: int) -> list[int]:
    tree = select(Category.id).where(Category.id == category_id).cte("tree", recursive=True)
    # UNION, not UNION ALL: a loop in damaged data ends the walk instead of the process.
    tree = tree.union(select(Category.id).join(tree, Category.parent_id == tree.c.id))
    return list(db.session.scalars(select(tree.c.id)))
