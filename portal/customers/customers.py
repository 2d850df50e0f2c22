"""Customer profiles: making, changing, reading and finding them.

Contact data is sealed at rest (`points`); nothing here writes an address or a number into the audit log or an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack, cast

from flask_babel import gettext as _
from sqlalchemy import Integer, Select, column, func, or_, select, table
from sqlalchemy.orm import selectinload

from portal import audit, outbox
from portal.access import Permission, Viewer, customer_condition
from portal.customers import points
from portal.customers.fields import KINDS, CustomerFields, apply, checked, load_words, shape
from portal.customers.models import Contact, ContactPoint, Customer
from portal.declared import looked_for
from portal.errors import Conflict, Missing
from portal.extensions import count_rows, db, now
from portal.vocabulary.models import Tag

PAGE_SIZE = 25


# Records belong to a feature above this one; a customer's sweeping changes name their table, not their model.
_RECORDS = table("record", column("id", Integer), column("customer_id", Integer))


def create(*, by: Viewer, **fields: Unpack[CustomerFields]) -> Customer:
    """Make a customer.  Commits the profile with its contacts, its outbox row and an audit entry.

    Raises:
        Forbidden: the viewer may not write customers.
        Invalid: a field cannot be used.
    """
    by.require(Permission.WRITE_CUSTOMERS)
    clean = checked({"kind": "company", **fields}, region="", is_new=True)
    customer = Customer()
    apply(customer, clean, load_words(clean))
    db.session.add(customer)
    _commit(customer, "customer.created", by=by)
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
    clean = checked(fields, region=str(fields.get("region", customer.region)), is_new=False, customer=customer)
    customer = _lock(customer.id)
    if customer.version != version:
        db.session.rollback()
        raise _conflict(db.session.get_one(Customer, customer.id), fields)
    old_name = customer.name
    changed = apply(customer, clean, load_words(clean))
    if not changed:
        db.session.rollback()
        return db.session.get_one(Customer, customer.id)
    customer.updated_at = now()
    if customer.name != old_name:
        outbox.record_where("record", record_ids(customer.id))
    _commit(customer, "customer.saved", by=by, fields=sorted(changed))
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
    _commit(customer, "customer.archived" if is_archived else "customer.restored", by=by)
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
    outbox.record_where("record", record_ids(customer_id))
    outbox.record(customer)
    db.session.delete(customer)
    db.session.flush()
    audit.append("customer.deleted", by=by, kind="customer", object_id=customer_id)
    db.session.commit()
    outbox.nudge()


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
    total = count_rows(wanted, Customer.id)
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
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    if customer is None:
        db.session.rollback()
        raise Missing(_("There is no such customer."))
    return customer


def _commit(customer: Customer, action: str, *, by: Viewer, **details: Any) -> None:
    """End the change: commit it with its outbox row and an audit entry, and wake the indexer."""
    outbox.record(customer)
    audit.append(action, by=by, kind="customer", object_id=customer.id, details=details)
    db.session.commit()
    outbox.nudge()


def record_ids(*customer_ids: int) -> Select[int]:
    """Return the query for the ids of these customers' records, whose documents name them."""
    return cast("Select[int]", select(_RECORDS.c.id).where(_RECORDS.c.customer_id.in_(customer_ids)))
