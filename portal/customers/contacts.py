"""The people at a customer: how they are filled in, checked, written and opened again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from portal.customers import points
from portal.customers.models import Contact, Customer
from portal.declared import Check, text, words

MOST_CONTACTS = 50
MOST_POINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDraft:
    """A contact as it is filled in: with the id of the one it changes, or none for a new one."""

    id: int | None = None
    name: str = ""
    job: str = ""
    emails: Sequence[str] = ()
    phones: Sequence[str] = ()


def draft_of(contact: Contact) -> ContactDraft:
    """Return a stored contact as it would be filled in."""
    opened = [(point.kind, points.opened(point)) for point in contact.points]
    return ContactDraft(
        id=contact.id,
        name=contact.name,
        job=contact.job,
        emails=tuple(plain for kind, plain in opened if kind == "email"),
        phones=tuple(points.shown(kind, plain) for kind, plain in opened if kind == "phone"),
    )


def emails(customer: Customer) -> list[str]:
    """Return the opened e-mail addresses of all contacts."""
    return [points.opened(p) for contact in customer.contacts for p in contact.points if p.kind == "email"]


def phones(customer: Customer) -> list[str]:
    """Return the opened phone numbers of all contacts, `+886…` where the country is known."""
    return [points.opened(p) for contact in customer.contacts for p in contact.points if p.kind == "phone"]


def checked_contacts(check: Check, drafts: Sequence[ContactDraft], known: set[int], region: str) -> list[ContactDraft]:
    """Return the drafts with clean values; `known` are the ids of the contacts that the customer has."""
    if len(drafts) > MOST_CONTACTS:
        check.refuse("contacts", _("A customer has at most %(most)s contacts.", most=MOST_CONTACTS))
    if any(draft.id is not None and draft.id not in known for draft in drafts):
        check.refuse("contacts", _("One of the contacts does not exist any more."))
    return [_check_contact(check, place, draft, region=region) for place, draft in enumerate(drafts[:MOST_CONTACTS])]


def checked_points(check: Check, name: str, kind: Any, value: Any, region: str) -> list[str]:
    """Return clean addresses or numbers; `kind` is the rule of `points` that reads one."""
    typed = check.read(name, words, value, most=MOST_POINTS, longest=points.LONGEST_EMAIL) or []
    options = {"region": region} if kind is points.phone else {}
    found = [check.read(name, kind, one, **options) for one in typed]
    return [one for one in found if one is not None]


def _check_contact(check: Check, place: int, draft: ContactDraft, *, region: str) -> ContactDraft:
    """Return the draft with clean values; what is wrong is kept under `contacts-0-emails` and the like."""
    at = f"contacts-{place}-"
    clean = ContactDraft(
        id=draft.id,
        name=check.read(f"{at}name", text, draft.name, most=200, is_line=True) or "",
        job=check.read(f"{at}job", text, draft.job, most=120, is_line=True) or "",
        emails=checked_points(check, f"{at}emails", points.email, draft.emails, region),
        phones=checked_points(check, f"{at}phones", points.phone, draft.phones, region),
    )
    if not (clean.name or clean.job or clean.emails or clean.phones) and f"{at}name" not in check.errors:
        check.refuse(f"{at}name", _("Fill in a name, an e-mail address or a phone number."))
    return clean


def apply_contacts(customer: Customer, drafts: Sequence[ContactDraft]) -> bool:
    """Make a customer's contacts equal to the drafts; say whether anything differed."""
    by_id = {contact.id: contact for contact in customer.contacts}
    kept = {draft.id for draft in drafts}
    changed = False
    for contact in list(customer.contacts):
        if contact.id not in kept:
            customer.contacts.remove(contact)
            changed = True
    for draft in drafts:
        held = by_id.get(draft.id) if draft.id is not None else None
        contact = held or Contact()
        if held is None:
            customer.contacts.append(contact)
            changed = True
        changed = _fill_contact(contact, draft) or changed
    return changed


def _fill_contact(contact: Contact, draft: ContactDraft) -> bool:
    changed = (contact.name, contact.job) != (draft.name, draft.job)
    contact.name, contact.job = draft.name, draft.job
    changed = points.replace(contact.points, "email", draft.emails) or changed
    return points.replace(contact.points, "phone", draft.phones) or changed
