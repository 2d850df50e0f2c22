"""What may be set of a customer, and what each field may hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from flask_babel import gettext as _

from portal.customers import points
from portal.customers.contacts import (
    ContactDraft,
    apply_contacts,
    checked_contacts,
    checked_points,
    draft_of,
    emails,
    phones,
)
from portal.customers.models import Contact, Customer
from portal.declared import Check, choice, language, text, words
from portal.errors import Invalid
from portal.vocabulary.models import Product, Tag
from portal.vocabulary.words import find_or_create

KINDS = ("company", "person")


class CustomerFields(TypedDict, total=False):
    """Everything of a customer that people and programs may set.

    `emails` and `phones` are those of the first contact; `contacts` sets all contacts, and what it leaves out is
    removed.  `tags` and `products` are names or slugs.
    """

    kind: str
    name: str
    language: str
    region: str
    segment: str
    notes: str
    tags: Sequence[str]
    products: Sequence[str]
    emails: Sequence[str]
    phones: Sequence[str]
    contacts: Sequence[ContactDraft]


DECLARED = tuple(CustomerFields.__annotations__)
_RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "kind": (choice, {"choices": KINDS}),
    "name": (text, {"most": 200, "required": True, "is_line": True}),
    "language": (language, {}),
    "region": (text, {"most": 120, "is_line": True}),
    "segment": (text, {"most": 60, "is_line": True}),
    "notes": (text, {"most": 50_000}),
    "tags": (words, {"most": 50, "longest": 120}),
    "products": (words, {"most": 50, "longest": 120}),
}
PLAIN = ("kind", "name", "language", "region", "segment", "notes")


def checked(
    fields: Mapping[str, Any], *, region: str, is_new: bool, customer: Customer | None = None
) -> dict[str, Any]:
    """Return clean values of the given fields, or raise `Invalid` with all that is wrong."""
    unknown = sorted(set(fields) - set(DECLARED))
    if unknown:
        raise Invalid({name: _("A customer has no field of this name.") for name in unknown})
    check = Check()
    clean: dict[str, Any] = {}
    for name, (rule, options) in _RULES.items():
        if name in fields or (is_new and name == "name"):
            clean[name] = check.read(name, rule, fields.get(name), **options)
    region = str(fields.get("region") or region)
    if "contacts" in fields:
        known = {contact.id for contact in customer.contacts} if customer is not None else set()
        clean["contacts"] = checked_contacts(check, list(fields["contacts"]), known, region)
    for name, kind in (("emails", points.email), ("phones", points.phone)):
        if name in fields:
            clean[name] = checked_points(check, name, kind, fields[name], region)
    check.finish()
    return clean


@dataclass(frozen=True, slots=True)
class Words:
    """The tags and products that a submission or a whole batch names, by the names it uses."""

    tags: Mapping[str, Tag]
    products: Mapping[str, Product]


def load_words(*cleans: Mapping[str, Any]) -> Words:
    """Return what clean values name, made where it does not exist: two queries, however many they are."""
    return Words(
        tags=find_or_create(Tag, dict.fromkeys(name for clean in cleans for name in clean.get("tags") or ())),
        products=find_or_create(
            Product, dict.fromkeys(name for clean in cleans for name in clean.get("products") or ())
        ),
    )


def apply(customer: Customer, clean: Mapping[str, Any], named: Words) -> set[str]:
    """Write clean values; return the names of those that differ from what was there."""
    changed = set()
    for name in PLAIN:
        if name in clean and getattr(customer, name) != clean[name]:
            setattr(customer, name, clean[name])
            changed.add(name)
    for name, known in (("tags", named.tags), ("products", named.products)):
        if name in clean and _replace_words(getattr(customer, name), [known[one] for one in clean[name]]):
            changed.add(name)
    if "contacts" in clean and apply_contacts(customer, clean["contacts"]):
        changed.add("contacts")
    for name, kind in (("emails", "email"), ("phones", "phone")):
        if name in clean:
            if not customer.contacts and clean[name]:
                customer.contacts.append(Contact(name=customer.name if customer.kind == "person" else ""))
            if customer.contacts and points.replace(customer.contacts[0].points, kind, clean[name]):
                changed.add(name)
    return changed


def _replace_words(held: list[Any], wanted: Any) -> bool:
    new = list({id(word): word for word in wanted}.values())
    if set(map(id, held)) == set(map(id, new)):
        return False
    held[:] = new
    return True


def shape(customer: Customer) -> dict[str, Any]:
    """Return the declared fields as they stand, with id and version: what the API shows and conflicts compare."""
    return {
        "id": customer.id,
        "version": customer.version,
        **{name: getattr(customer, name) for name in PLAIN},
        "tags": [tag.name for tag in customer.tags],
        "products": [product.name for product in customer.products],
        "emails": emails(customer),
        "phones": phones(customer),
        "contacts": [draft_of(contact) for contact in customer.contacts],
    }
