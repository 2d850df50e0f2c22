"""Customer profiles: making, changing, finding and importing them.

Contact data is sealed at rest (`points`); nothing here writes an address or a number into the audit log or an error.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, Unpack, cast

from flask_babel import gettext as _
from sqlalchemy import Integer, Select, column, func, or_, select, table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from portal import audit, outbox
from portal.access import Permission, Viewer, customer_condition
from portal.customers import points
from portal.customers.models import Contact, ContactPoint, Customer
from portal.declared import Check, choice, extra, language, looked_for, text, words
from portal.encryption import blind_index
from portal.errors import Conflict, Invalid, Missing
from portal.extensions import db, now
from portal.vocabulary.models import Product, Tag
from portal.vocabulary.words import find_or_create

KINDS = ("company", "person")
MOST_CONTACTS = 50
MOST_POINTS = 20
PAGE_SIZE = 25
# Records belong to a feature above this one; a customer's sweeping changes name their table, not their model.
_RECORDS = table("record", column("id", Integer), column("customer_id", Integer))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDraft:
    """A contact as it is filled in: with the id of the one it changes, or none for a new one."""

    id: int | None = None
    name: str = ""
    job: str = ""
    emails: Sequence[str] = ()
    phones: Sequence[str] = ()


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


Status = Literal["created", "updated", "unchanged", "refused"]
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
_PLAIN = ("kind", "name", "language", "region", "segment", "notes")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one imported line.  `reason` says why it was refused, or what was left out of it."""

    outcome: Status
    id: int | None = None
    reason: str = ""


def create(*, by: Viewer, **fields: Unpack[CustomerFields]) -> Customer:
    """Make a customer.  Commits the profile with its contacts, its outbox row and an audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Invalid: a field cannot be used.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    clean = _check({"kind": "company", **fields}, region="", is_new=True)
    customer = Customer()
    _apply(customer, clean, _load_words(clean))
    db.session.add(customer)
    outbox.record(customer)
    audit.append("customer.created", by=by, kind="customer", object_id=customer.id)
    db.session.commit()
    outbox.nudge()
    return customer


def save(customer: Customer, *, by: Viewer, version: int, **fields: Unpack[CustomerFields]) -> Customer:
    """Change the given fields of a customer that was read at `version`.

    Commits the change with the customer's outbox row, those of all its records when it is renamed, and an audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Invalid: a field cannot be used.
        Conflict: somebody saved a newer version; both versions are in it and nothing was written.
        Missing: it was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    clean = _check(fields, region=str(fields.get("region", customer.region)), is_new=False, customer=customer)
    customer = _lock(customer.id)
    if customer.version != version:
        db.session.rollback()
        raise _conflict(db.session.get_one(Customer, customer.id), fields)
    old_name = customer.name
    changed = _apply(customer, clean, _load_words(clean))
    if not changed:
        db.session.rollback()
        return db.session.get_one(Customer, customer.id)
    customer.updated_at = now()
    if customer.name != old_name:
        outbox.record_where("record", _record_ids(customer.id))
    outbox.record(customer)
    audit.append("customer.saved", by=by, kind="customer", object_id=customer.id, details={"fields": sorted(changed)})
    db.session.commit()
    outbox.nudge()
    return customer


def archive(customer: Customer, *, by: Viewer, is_archived: bool = True) -> Customer:
    """Put a customer away, or bring it back with `is_archived=False`.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Missing: it was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    customer = _lock(customer.id)
    customer.is_archived = is_archived
    customer.updated_at = now()
    outbox.record(customer)
    action = "customer.archived" if is_archived else "customer.restored"
    audit.append(action, by=by, kind="customer", object_id=customer.id)
    db.session.commit()
    outbox.nudge()
    return customer


def delete(customer: Customer, *, by: Viewer) -> None:
    """Delete a customer with its contacts for good.  Its records remain, without a customer.

    Commits with the outbox rows of the customer and of all its records, and an audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Missing: it was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    customer = _lock(customer.id)
    customer_id = customer.id
    outbox.record_where("record", _record_ids(customer_id))
    outbox.record(customer)
    db.session.delete(customer)
    db.session.flush()
    audit.append("customer.deleted", by=by, kind="customer", object_id=customer_id)
    db.session.commit()
    outbox.nudge()


def add_contact(customer: Customer, draft: ContactDraft, *, by: Viewer) -> Contact:
    """Add a contact with its points.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Invalid: a field cannot be used, or there are too many contacts.
        Missing: the customer was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    check = Check()
    clean = _check_contact(check, 0, draft, region=customer.region, prefix="")
    check.finish()
    customer = _lock(customer.id)
    if len(customer.contacts) >= MOST_CONTACTS:
        db.session.rollback()
        raise Invalid({"name": _("A customer has at most %(most)s contacts.", most=MOST_CONTACTS)})
    contact = Contact()
    _fill_contact(contact, clean)
    customer.contacts.append(contact)
    _commit_contact(customer, "customer.contact_added", by)
    return contact


def change_contact(contact: Contact, draft: ContactDraft, *, by: Viewer) -> Contact:
    """Make a contact and its points equal to the draft.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Invalid: a field cannot be used.
        Missing: the customer or the contact was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    check = Check()
    clean = _check_contact(check, 0, draft, region=contact.customer.region, prefix="")
    check.finish()
    customer = _lock(contact.customer_id)
    contact = _held(customer, contact.id)
    _fill_contact(contact, clean)
    _commit_contact(customer, "customer.contact_changed", by)
    return contact


def remove_contact(contact: Contact, *, by: Viewer) -> None:
    """Remove a contact with its points.  Commits with outbox row and audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Missing: the customer was deleted in between.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    customer = _lock(contact.customer_id)
    customer.contacts.remove(_held(customer, contact.id))
    _commit_contact(customer, "customer.contact_removed", by)


def emails(customer: Customer) -> list[str]:
    """Return the opened e-mail addresses of all contacts."""
    return [points.opened(p) for contact in customer.contacts for p in contact.points if p.kind == "email"]


def phones(customer: Customer) -> list[str]:
    """Return the opened phone numbers of all contacts, `+886…` where the country is known."""
    return [points.opened(p) for contact in customer.contacts for p in contact.points if p.kind == "phone"]


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


def get_readable(viewer: Viewer, customer_id: int) -> Customer:
    """Return a customer that this viewer may read.

    Raises:
        Missing: there is none, or it is somebody else's.
    """
    customer = db.session.scalar(select(Customer).where(Customer.id == customer_id, customer_condition(viewer)))
    if customer is None:
        raise Missing(_("There is no such customer."))
    return customer


def own(viewer: Viewer) -> Customer | None:
    """Return the profile that a customer's account belongs to."""
    return db.session.get(Customer, viewer.customer_id) if viewer.customer_id is not None else None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, and how many there are in all."""

    items: Sequence[Customer]
    total: int
    page: int
    size: int = PAGE_SIZE
    record_counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        """Return how many pages there are."""
        return max(1, -(-self.total // self.size))


def load_page(
    viewer: Viewer, *, q: str = "", page: int = 1, is_archived: bool = False, tag: str = "", kind: str = ""
) -> Page:
    """Load a page of the customers this viewer may read, by name, with the number of each one's records."""
    wanted = select(Customer).where(customer_condition(viewer), Customer.is_archived.is_(is_archived))
    if looked_for(q):
        wanted = wanted.where(_matches(q))
    if kind in KINDS:
        wanted = wanted.where(Customer.kind == kind)
    if tag:
        wanted = wanted.where(Customer.tags.any(Tag.slug == looked_for(tag)))
    total = db.session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
    rows = db.session.scalars(
        wanted.options(selectinload(Customer.tags))
        .order_by(func.lower(Customer.name), Customer.id)
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    ).all()
    counts = db.session.execute(
        select(_RECORDS.c.customer_id, func.count())
        .where(_RECORDS.c.customer_id.in_([row.id for row in rows]))
        .group_by(_RECORDS.c.customer_id)
    ).all()
    return Page(items=rows, total=total, page=page, record_counts={row[0]: row[1] for row in counts})


def look_up(viewer: Viewer, typed: str, *, most: int = 8) -> Sequence[Customer]:
    """Return the customers that a caller may be: by name, contact's name, e-mail address or phone number."""
    if not looked_for(typed):
        return []
    return db.session.scalars(
        select(Customer)
        .where(customer_condition(viewer), Customer.is_archived.is_(False), _matches(typed))
        .options(selectinload(Customer.contacts).selectinload(Contact.points))
        .order_by(func.lower(Customer.name), Customer.id)
        .limit(most)
    ).all()


def _matches(typed: str) -> Any:
    wanted = looked_for(typed)
    indices = points.candidates(wanted)
    ways = [
        Customer.name.icontains(wanted, autoescape=True),
        Customer.external_id == wanted,
        Customer.contacts.any(Contact.name.icontains(wanted, autoescape=True)),
    ]
    if indices:
        found = select(Contact.customer_id).join(ContactPoint).where(ContactPoint.blind_index.in_(indices))
        ways.append(Customer.id.in_(found))
    return or_(*ways)


def shape(customer: Customer) -> dict[str, Any]:
    """Return the declared fields as they stand, with id and version: what the API shows and conflicts compare."""
    return {
        "id": customer.id,
        "version": customer.version,
        **{name: getattr(customer, name) for name in _PLAIN},
        "tags": [tag.name for tag in customer.tags],
        "products": [product.name for product in customer.products],
        "emails": emails(customer),
        "phones": phones(customer),
        "contacts": [draft_of(contact) for contact in customer.contacts],
    }


def _conflict(customer: Customer, given: Mapping[str, Any]) -> Conflict:
    return Conflict(
        _("Somebody saved a newer version of %(name)s. Compare both and save again.", name=customer.name),
        current=shape(customer),
        given=given,
    )


def _lock(customer_id: int) -> Customer:
    """Begin the change: the outbox row is everybody's first lock, then the customer is read as it is now."""
    customer = db.session.get(Customer, customer_id)
    if customer is not None:
        outbox.record(customer)
        # Not `get` or `refresh`: under a lock these insist that nobody saved in between.
        customer = db.session.scalar(
            select(Customer)
            .where(Customer.id == customer_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    if customer is None:
        db.session.rollback()
        raise Missing(_("There is no such customer."))
    return customer


def _held(customer: Customer, contact_id: int) -> Contact:
    """Return a contact of a locked customer, with its points as they are now."""
    for contact in customer.contacts:
        if contact.id == contact_id:
            db.session.refresh(contact, ["points"])
            return contact
    db.session.rollback()
    raise Missing(_("There is no such contact."))


def _record_ids(customer_id: int) -> Select[int]:
    return cast("Select[int]", select(_RECORDS.c.id).where(_RECORDS.c.customer_id == customer_id))


def _commit_contact(customer: Customer, action: str, by: Viewer) -> None:
    customer.updated_at = now()
    outbox.record(customer)
    audit.append(action, by=by, kind="customer", object_id=customer.id)
    db.session.commit()
    outbox.nudge()


def _check(fields: Mapping[str, Any], *, region: str, is_new: bool, customer: Customer | None = None) -> dict[str, Any]:
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
        clean["contacts"] = _check_contacts(check, list(fields["contacts"]), known, region)
    for name, kind in (("emails", points.email), ("phones", points.phone)):
        if name in fields:
            clean[name] = _check_points(check, name, kind, fields[name], region)
    check.finish()
    return clean


def _check_contacts(check: Check, drafts: Sequence[ContactDraft], known: set[int], region: str) -> list[ContactDraft]:
    if len(drafts) > MOST_CONTACTS:
        check.refuse("contacts", _("A customer has at most %(most)s contacts.", most=MOST_CONTACTS))
    if any(draft.id is not None and draft.id not in known for draft in drafts):
        check.refuse("contacts", _("One of the contacts does not exist any more."))
    return [
        _check_contact(check, place, draft, region=region, prefix="contacts-")
        for place, draft in enumerate(drafts[:MOST_CONTACTS])
    ]


def _check_points(check: Check, name: str, kind: Any, value: Any, region: str) -> list[str]:
    typed = check.read(name, words, value, most=MOST_POINTS, longest=points.LONGEST_EMAIL) or []
    options = {"region": region} if kind is points.phone else {}
    found = [check.read(name, kind, one, **options) for one in typed]
    return [one for one in found if one is not None]


def _check_contact(check: Check, place: int, draft: ContactDraft, *, region: str, prefix: str) -> ContactDraft:
    """Return the draft with clean values; what is wrong is kept under `contacts-0-emails` and the like."""
    at = f"{prefix}{place}-" if prefix else ""
    clean = ContactDraft(
        id=draft.id,
        name=check.read(f"{at}name", text, draft.name, most=200, is_line=True) or "",
        job=check.read(f"{at}job", text, draft.job, most=120, is_line=True) or "",
        emails=_check_points(check, f"{at}emails", points.email, draft.emails, region),
        phones=_check_points(check, f"{at}phones", points.phone, draft.phones, region),
    )
    if not (clean.name or clean.job or clean.emails or clean.phones) and f"{at}name" not in check.errors:
        check.refuse(f"{at}name", _("Fill in a name, an e-mail address or a phone number."))
    return clean


@dataclass(frozen=True, slots=True)
class _Words:
    """The tags and products that a submission or a whole batch names, by the names it uses."""

    tags: Mapping[str, Tag]
    products: Mapping[str, Product]


def _load_words(*cleans: Mapping[str, Any]) -> _Words:
    return _Words(
        tags=find_or_create(Tag, dict.fromkeys(name for clean in cleans for name in clean.get("tags") or ())),
        products=find_or_create(
            Product, dict.fromkeys(name for clean in cleans for name in clean.get("products") or ())
        ),
    )


def _apply(customer: Customer, clean: Mapping[str, Any], named: _Words) -> set[str]:
    """Write clean values; return the names of those that differ from what was there."""
    changed = set()
    for name in _PLAIN:
        if name in clean and getattr(customer, name) != clean[name]:
            setattr(customer, name, clean[name])
            changed.add(name)
    for name, known in (("tags", named.tags), ("products", named.products)):
        if name in clean and _replace_words(getattr(customer, name), [known[one] for one in clean[name]]):
            changed.add(name)
    if "contacts" in clean and _apply_contacts(customer, clean["contacts"]):
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


def _apply_contacts(customer: Customer, drafts: Sequence[ContactDraft]) -> bool:
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


# Imports

_META_FIELDS = ("kind", "language", "region", "segment", "notes", "tags", "products", "emails", "phones", "contacts")
_ALIASES = {"email": "emails", "phone": "phones", "tag": "tags", "product": "products", "country": "region"}


def import_batch(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool = False
) -> list[Outcome]:
    """Make or update customers from import lines `{"id", "title" or "name", "text", "lang", "meta": {…}}`.

    A line's `id` is its external id, unique within the source.  `title` is the name and `text` the notes; `meta` may
    hold kind, region, segment, tags, products, emails, phones and contacts (`{"name", "job", "emails", "phones"}`);
    what else it holds is kept.  A line equal to the one imported before changes nothing, also where somebody edited
    the profile since.  Commits the whole batch with its outbox rows and one audit entry, or nothing with `dry_run`;
    a refused line loses no other.  Give batches of some hundred lines.
    """
    try:
        outcomes = _import_lines(lines, source=source, by=by, dry_run=dry_run)
    except IntegrityError:
        # Somebody else imported one of these lines at the same moment: it now exists, so a second try updates it.
        db.session.rollback()
        outcomes = _import_lines(lines, source=source, by=by, dry_run=dry_run)
    outbox.nudge()
    return outcomes


def _import_lines(
    lines: Sequence[Mapping[str, Any]], *, source: str, by: Viewer | None, dry_run: bool
) -> list[Outcome]:
    prepared = [_prepare(line) for line in lines]
    ids = [one.external_id for one in prepared if isinstance(one, _Line)]
    named = _load_words(*[one.clean for one in prepared if isinstance(one, _Line)])
    held = _load_held(source, ids)
    done: list[tuple[Status, Customer | None, str]] = []
    touched: dict[str, Customer] = {}
    renamed: list[int] = []
    with db.session.no_autoflush:
        for one in prepared:
            if isinstance(one, str):
                done.append(("refused", None, one))
                continue
            customer = held.get(one.external_id)
            if customer is not None and customer.digest == one.digest:
                done.append(("unchanged", customer, ""))
                continue
            done.append(("updated" if customer is not None else "created", None, ""))
            if customer is None:
                customer = held[one.external_id] = Customer(source=source, external_id=one.external_id)
            elif customer.id is not None and customer.name != one.clean["name"]:
                renamed.append(customer.id)
            _write_line(customer, one, named)
            touched[one.external_id] = customer
            done[-1] = (done[-1][0], customer, "")
    db.session.add_all(touched.values())
    if touched:
        if renamed:
            wanted = select(_RECORDS.c.id).where(_RECORDS.c.customer_id.in_(renamed))
            outbox.record_where("record", cast("Select[int]", wanted))
        outbox.record(*touched.values(), bulk=True)
        audit.append("customer.imported", by=by, kind="customer", details={"source": source, "customers": len(touched)})
    outcomes = [Outcome(status, customer.id if customer else None, reason) for status, customer, reason in done]
    if dry_run:
        db.session.rollback()
        return [Outcome(o.outcome, None if o.outcome == "created" else o.id, o.reason) for o in outcomes]
    db.session.commit()
    return outcomes


def _load_held(source: str, ids: Sequence[str]) -> dict[str, Customer]:
    rows = db.session.scalars(
        select(Customer)
        .where(Customer.source == source, Customer.external_id.in_(ids))
        .options(
            selectinload(Customer.contacts).selectinload(Contact.points),
            selectinload(Customer.tags),
            selectinload(Customer.products),
        )
    )
    return {str(customer.external_id): customer for customer in rows}


def _write_line(customer: Customer, line: "_Line", named: _Words) -> None:
    clean = line.clean
    if "contacts" in clean:
        clean = {**clean, "contacts": _merged(customer, clean["contacts"])}
    _apply(customer, clean, named)
    customer.meta, customer.digest, customer.updated_at = line.meta, line.digest, now()


@dataclass(frozen=True, slots=True)
class _Line:
    external_id: str
    clean: dict[str, Any]
    meta: dict[str, Any]
    digest: str


def _prepare(line: Mapping[str, Any]) -> "_Line | str":
    """Return a checked line, or the sentence that refuses it."""
    try:
        external_id = text(line.get("id"), most=200, required=True, is_line=True)
    except Invalid as refused:
        return f"id: {next(iter(refused.fields.values()))}"
    meta = line.get("meta") or {}
    if not isinstance(meta, Mapping):
        return str(_("meta: This must be an object."))
    meta = {_ALIASES.get(str(name), str(name)): value for name, value in meta.items()}
    fields: dict[str, Any] = {"kind": "company", "name": line.get("title") or line.get("name")}
    if line.get("text"):
        fields["notes"] = line["text"]
    if line.get("lang"):
        fields["language"] = line["lang"]
    fields |= {name: meta.pop(name) for name in _META_FIELDS if meta.get(name) not in (None, "")}
    try:
        if "contacts" in fields:
            fields["contacts"] = _drafts(fields["contacts"])
        clean = _check(fields, region="", is_new=True)
        kept = extra(meta)
    except Invalid as refused:
        return " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in refused.fields.items())
    return _Line(external_id, clean, kept, _digest_of(clean, kept))


def _merged(customer: Customer, drafts: Sequence[ContactDraft]) -> list[ContactDraft]:
    """Match imported contacts with those of the same name; contacts that people added here are kept."""
    by_name = {contact.name: contact for contact in customer.contacts if contact.id is not None}
    matched = [replace(d, id=by_name.pop(d.name).id) if d.name in by_name else d for d in drafts]
    return matched + [draft_of(contact) for contact in by_name.values()]


def _drafts(value: object) -> list[ContactDraft]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise Invalid({"contacts": _("This must be a list of objects with name, job, emails and phones.")})
    return [
        ContactDraft(
            name=one.get("name", ""),
            job=one.get("job", ""),
            emails=one.get("emails", one.get("email")) or (),
            phones=one.get("phones", one.get("phone")) or (),
        )
        for one in value
    ]


def _digest_of(clean: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Return a keyed digest: contact data is in it, and few phone numbers exist that somebody could not try."""
    shape = json.dumps([clean, meta], sort_keys=True, default=_plain)
    return blind_index(hashlib.sha256(shape.encode()).hexdigest(), "import")


def _plain(value: Any) -> Any:
    return [value.name, value.job, list(value.emails), list(value.phones)]
