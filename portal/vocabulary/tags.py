"""Operations on tags, the free words that articles, records and customers carry."""

from collections.abc import Iterable, Mapping
from typing import Any

from flask_babel import gettext
from sqlalchemy import func, literal, select

from portal import audit, outbox
from portal.access import Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db
from portal.vocabulary import words
from portal.vocabulary.models import Tag

FIELDS = ("name", "name_zh")
MOST = 20
LONGEST = 60


def create(*, by: Viewer, changes: Mapping[str, Any]) -> Tag:
    """Make a tag and commit it.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: the name cannot be used, or is there already.
    """
    by.require(Permission.WRITE_VOCABULARY)
    values = _checked(changes, is_new=True)
    tag = Tag(slug=words.free_slug(Tag, values["name"]), **values)
    db.session.add(tag)
    db.session.flush()
    audit.append("tag.create", by=by, kind="tag", object_id=tag.id, details={"name": tag.name})
    db.session.commit()
    return tag


def save(tag: Tag, *, by: Viewer, changes: Mapping[str, Any]) -> None:
    """Rename a tag and commit; everything that carries it is indexed again.  Its slug stays.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: the name cannot be used; one that is there already is for `merge`.
    """
    by.require(Permission.WRITE_VOCABULARY)
    for field, value in _checked(changes, is_new=False, tag=tag).items():
        setattr(tag, field, value)
    words.record_uses("tag", [tag.id])
    audit.append("tag.save", by=by, kind="tag", object_id=tag.id, details=dict(changes))
    db.session.commit()
    outbox.nudge()


def merge(tag: Tag, *, into: Tag, by: Viewer) -> None:
    """Let everything that carries a tag carry another instead, remove the first, and commit: two statements a kind.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: both are the same.
    """
    by.require(Permission.WRITE_VOCABULARY)
    if tag.id == into.id:
        raise Invalid({"into": gettext("Choose another tag to merge this one into.")})
    words.record_uses("tag", [tag.id])
    for _kind, name, id_column, column in words.USES["tag"]:
        carried = words.table(name)
        already = carried.alias()
        owner = already.c[id_column]
        missing = (
            select(carried.c[id_column], literal(into.id))
            .where(carried.c[column] == tag.id)
            .where(~select(owner).where(owner == carried.c[id_column], already.c[column] == into.id).exists())
        )
        db.session.execute(carried.insert().from_select([id_column, column], missing))
        db.session.execute(carried.delete().where(carried.c[column] == tag.id))
    details = {"from": tag.name, "into": into.name}
    db.session.delete(tag)
    db.session.flush()
    audit.append("tag.merge", by=by, kind="tag", object_id=into.id, details=details)
    db.session.commit()
    db.session.expire_all()
    outbox.nudge()


def delete(tag: Tag, *, by: Viewer) -> None:
    """Remove a tag from everything that carries it, and commit.

    Raises:
        Forbidden: `by` may not write the vocabulary.
    """
    by.require(Permission.WRITE_VOCABULARY)
    words.record_uses("tag", [tag.id])
    tag_id, name = tag.id, tag.name
    db.session.delete(tag)
    db.session.flush()
    audit.append("tag.delete", by=by, kind="tag", object_id=tag_id, details={"name": name})
    db.session.commit()
    db.session.expire_all()
    outbox.nudge()


def load_all() -> list[Tag]:
    """Return all tags by name."""
    return list(db.session.scalars(select(Tag).order_by(Tag.name)))


def find(slug: str) -> Tag | None:
    """Return the tag of a slug."""
    return db.session.scalar(select(Tag).where(Tag.slug == slug))


def find_or_create(names: Iterable[object]) -> list[Tag]:
    """Return tags for names as somebody wrote them, making those that are missing, inside the caller's transaction.

    Raises:
        Invalid: a name cannot be stored, or there are too many; the field is `tags`.
    """
    try:
        lines = [words.checked_line(name, most=LONGEST) for name in names]
    except ValueError as error:
        raise Invalid({"tags": str(error)}) from None
    lines = [line for line in lines if line]
    if len(lines) > MOST:
        raise Invalid({"tags": gettext("At most %(most)s tags are possible.", most=MOST)})
    found = words.find_or_create(Tag, lines)
    return list({tag.id: tag for tag in found.values()}.values())


def _checked(changes: Mapping[str, Any], *, is_new: bool, tag: Tag | None = None) -> dict[str, Any]:
    words.refuse_unknown(changes, FIELDS)
    values = words.checked_names(changes, is_new=is_new)
    if "name" in values:
        same = select(Tag).where(func.lower(Tag.name) == values["name"].lower())
        if tag is not None:
            same = same.where(Tag.id != tag.id)
        if db.session.scalar(same.limit(1)) is not None:
            raise Invalid({"name": gettext("There is a tag of this name already. Merge the two instead.")})
    return values
