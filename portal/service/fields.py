"""What may be set of a record, by whom, and what each field may hold."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from flask_babel import gettext as _

from portal.access import Audience, Role, Viewer, narrowest
from portal.accounts.models import User
from portal.customers.models import Contact, Customer
from portal.declared import Check, choice, language, text, whole, words
from portal.errors import Invalid
from portal.extensions import db
from portal.service.models import KINDS, PRIORITIES, Record
from portal.vocabulary.models import Category, Product, Tag
from portal.vocabulary.words import find_or_create

LONGEST_TEXT = 100_000
STAFF_ROLES = (Role.AGENT, Role.EDITOR, Role.MANAGER, Role.ADMIN)


class RecordFields(TypedDict, total=False):
    """Everything of a record that people and programs may set; states have operations of their own.

    The ids are of what the viewer may choose: others are refused like missing ones.  `tags` are names or slugs.
    """

    kind: str
    subject: str
    description: str
    language: str
    serial_number: str
    product_id: int | None
    category_id: int | None
    priority: str
    customer_id: int | None
    contact_id: int | None
    requester_id: int | None
    assignee_id: int | None
    tags: Sequence[str]


DECLARED = tuple(RecordFields.__annotations__)
CUSTOMERS_MAY_SET = ("kind", "subject", "description", "language", "serial_number", "product_id", "category_id")
PLAIN = tuple(name for name in DECLARED if name != "tags")
RULES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "kind": (choice, {"choices": KINDS}),
    "subject": (text, {"most": 300, "required": True, "is_line": True}),
    "description": (text, {"most": LONGEST_TEXT}),
    "language": (language, {}),
    "serial_number": (text, {"most": 100, "is_line": True}),
    "priority": (choice, {"choices": PRIORITIES}),
    "tags": (words, {"most": 50, "longest": 120}),
    "product_id": (whole, {}),
    "category_id": (whole, {}),
    "customer_id": (whole, {}),
    "contact_id": (whole, {}),
    "requester_id": (whole, {}),
    "assignee_id": (whole, {}),
}


def checked(fields: Mapping[str, Any], *, by: Viewer, is_new: bool, record: Record | None = None) -> dict[str, Any]:
    """Return clean values of the given fields, or raise `Invalid` with all that is wrong."""
    allowed = DECLARED if by.is_staff else CUSTOMERS_MAY_SET
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise Invalid({name: _("This field cannot be set here.") for name in unknown})
    check = Check()
    clean: dict[str, Any] = {}
    for name, (rule, options) in RULES.items():
        if name in fields or (is_new and name == "subject"):
            clean[name] = check.read(name, rule, fields.get(name), **options)
    _check_references(check, clean, by, record)
    check.finish()
    return clean


def _check_references(check: Check, clean: Mapping[str, Any], by: Viewer, record: Record | None) -> None:
    """Refuse the ids of what does not exist, or is not this viewer's to choose, with one and the same sentence."""
    missing = _("There is no such choice.")
    for name, model in (("product_id", Product), ("customer_id", Customer), ("requester_id", User)):
        if clean.get(name) is not None and db.session.get(model, clean[name]) is None:
            check.refuse(name, missing)
    if clean.get("category_id") is not None:
        category = db.session.get(Category, clean["category_id"])
        if category is None or not may_choose(by, category):
            check.refuse("category_id", missing)
    if clean.get("assignee_id") is not None:
        assignee = db.session.get(User, clean["assignee_id"])
        if assignee is None or not assignee.is_active or assignee.role not in STAFF_ROLES:
            check.refuse("assignee_id", _("There is no such member of staff."))
    customer_id = clean.get("customer_id", record.customer_id if record is not None else None)
    if clean.get("contact_id") is not None:
        contact = db.session.get(Contact, clean["contact_id"])
        if contact is None or contact.customer_id != customer_id:
            check.refuse("contact_id", _("There is no such contact at this customer."))


def may_choose(viewer: Viewer, category: Category) -> bool:
    """Say whether a viewer may file a record under a category: internal ones are for staff."""
    return viewer.is_staff or narrowest(category.audience, category.effective_audience) != Audience.INTERNAL


def apply(record: Record, clean: Mapping[str, Any]) -> set[str]:
    """Write clean values; return the names of those that differ from what was there."""
    changed = set()
    for name in PLAIN:
        if name in clean and getattr(record, name) != clean[name]:
            setattr(record, name, clean[name])
            changed.add(name)
    if "customer_id" in changed and "contact_id" not in clean and record.contact_id is not None:
        # A contact belongs to the customer that the record has just left.
        record.contact_id = None
    if "tags" in clean:
        tags = list(dict.fromkeys(find_or_create(Tag, clean["tags"]).values()))
        if set(record.tags) != set(tags):
            record.tags = tags
            changed.add("tags")
    return changed


def shape(record: Record) -> dict[str, Any]:
    """Return the declared fields as they stand, with id, number, state and version: what conflicts compare."""
    return {
        "id": record.id,
        "number": record.number,
        "version": record.version,
        "state": record.state,
        **{name: getattr(record, name) for name in PLAIN},
        "tags": [tag.name for tag in record.tags],
    }
