"""Operations on the catalogue: products and the families they belong to."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext
from sqlalchemy import func, select

from portal import audit, outbox
from portal.access import Permission, Viewer
from portal.errors import Invalid
from portal.extensions import db
from portal.vocabulary import words
from portal.vocabulary.models import Product, ProductFamily

FIELDS = ("name", "name_zh", "family_id", "part_number", "is_discontinued")


def create(*, by: Viewer, changes: Mapping[str, Any]) -> Product:
    """Add a product and commit it.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: a value cannot be used.
    """
    by.require(Permission.WRITE_VOCABULARY)
    values = _checked(changes, is_new=True)
    product = Product(slug=words.free_slug(Product, values["name"]), **values)
    db.session.add(product)
    db.session.flush()
    audit.append("product.create", by=by, kind="product", object_id=product.id, details={"name": product.name})
    db.session.commit()
    return product


def save(product: Product, *, by: Viewer, changes: Mapping[str, Any]) -> None:
    """Change a product and commit; everything that carries it is indexed again.  Its slug stays.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: a value cannot be used.
    """
    by.require(Permission.WRITE_VOCABULARY)
    for field, value in _checked(changes, is_new=False, product=product).items():
        setattr(product, field, value)
    words.record_uses("product", [product.id])
    audit.append("product.save", by=by, kind="product", object_id=product.id, details=dict(changes))
    db.session.commit()
    outbox.nudge()


def delete(product: Product, *, by: Viewer) -> None:
    """Take a product out of the catalogue and off everything that carries it, and commit.

    Raises:
        Forbidden: `by` may not write the vocabulary.
    """
    by.require(Permission.WRITE_VOCABULARY)
    words.record_uses("product", [product.id])
    audit_id, name = product.id, product.name
    db.session.delete(product)
    db.session.flush()
    audit.append("product.delete", by=by, kind="product", object_id=audit_id, details={"name": name})
    db.session.commit()
    outbox.nudge()


def save_family(family: ProductFamily | None, *, by: Viewer, changes: Mapping[str, Any]) -> ProductFamily:
    """Make or rename a family and commit; the products of a renamed one are indexed again where they are carried.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: a name cannot be used.
    """
    by.require(Permission.WRITE_VOCABULARY)
    words.refuse_unknown(changes, ("name", "name_zh"))
    values = words.checked_names(changes, is_new=family is None)
    if family is None:
        family = ProductFamily(slug=words.free_slug(ProductFamily, values["name"]), **values)
        db.session.add(family)
    else:
        for field, value in values.items():
            setattr(family, field, value)
        words.record_uses("product", select(Product.id).where(Product.family_id == family.id))
    db.session.flush()
    audit.append("family.save", by=by, kind="product_family", object_id=family.id, details=dict(changes))
    db.session.commit()
    outbox.nudge()
    return family


def delete_family(family: ProductFamily, *, by: Viewer) -> None:
    """Remove a family without products and commit.

    Raises:
        Forbidden: `by` may not write the vocabulary.
        Invalid: products belong to it.
    """
    by.require(Permission.WRITE_VOCABULARY)
    if family.products:
        raise Invalid({"": gettext("Products belong to this family. Move them to another first.")})
    audit_id, name = family.id, family.name
    db.session.delete(family)
    db.session.flush()
    audit.append("family.delete", by=by, kind="product_family", object_id=audit_id, details={"name": name})
    db.session.commit()


def load_families() -> list[ProductFamily]:
    """Return all families by name."""
    return list(db.session.scalars(select(ProductFamily).order_by(ProductFamily.name)))


def load_all() -> list[Product]:
    """Return all products by name."""
    return list(db.session.scalars(select(Product).order_by(Product.name)))


def load_by_ids(ids: Sequence[int]) -> list[Product]:
    """Return the products of these ids, by name; unknown ids are left out."""
    return list(db.session.scalars(select(Product).where(Product.id.in_(ids)).order_by(Product.name)))


def find(slug: str) -> Product | None:
    """Return the product of a slug."""
    return db.session.scalar(select(Product).where(Product.slug == slug))


def _checked(changes: Mapping[str, Any], *, is_new: bool, product: Product | None = None) -> dict[str, Any]:
    words.refuse_unknown(changes, FIELDS)
    values = words.checked_names(changes, is_new=is_new)
    errors: dict[str, str] = {}
    if "part_number" in changes:
        try:
            values["part_number"] = words.checked_line(changes["part_number"], most=60) or None
        except ValueError as error:
            errors["part_number"] = str(error)
    if "is_discontinued" in changes:
        if isinstance(changes["is_discontinued"], bool):
            values["is_discontinued"] = changes["is_discontinued"]
        else:
            errors["is_discontinued"] = gettext("Say yes or no.")
    if "family_id" in changes:
        values["family_id"] = changes["family_id"]
        if not _is_family(changes["family_id"]):
            errors["family_id"] = gettext("There is no such family. Choose another.")
    if "name" in values and _is_taken(values["name"], product):
        errors["name"] = gettext("There is a product of this name already. Choose another name.")
    if errors:
        raise Invalid(errors)
    return values


def _is_family(family_id: object) -> bool:
    if family_id is None:
        return True
    return isinstance(family_id, int) and db.session.get(ProductFamily, family_id) is not None


def _is_taken(name: str, product: Product | None) -> bool:
    same = select(Product.id).where(func.lower(Product.name) == name.lower())
    if product is not None:
        same = same.where(Product.id != product.id)
    return db.session.scalar(same.limit(1)) is not None
