"""What the search asks of customer profiles: which may still be read, and which names hold some words."""

from collections.abc import Collection
from typing import Any

from markupsafe import escape
from sqlalchemy import Select, select

from portal import access
from portal.access import Viewer
from portal.customers.models import Customer
from portal.extensions import db
from portal.search.results import Hit
from portal.search.sources import Source, Standing, make_readable_ids
from portal.search.titles import holds_words, load_newest


def select_readable(viewer: Viewer, *columns: Any) -> Select[Any]:
    """Begin a query over the profiles this viewer may read."""
    return select(*(columns or (Customer,))).select_from(Customer).where(access.customer_condition(viewer))


readable_ids = make_readable_ids(select_readable, Customer.id)


def find_titles(
    viewer: Viewer, words: Collection[str], kinds: Collection[str], limit: int, offset: int
) -> tuple[int, list[Hit]]:
    """Look the words up in names, newest first."""
    if kinds and "customer" not in kinds:
        return 0, []
    found = select_readable(viewer, Customer).where(holds_words(words, Customer.name))  # type: ignore[arg-type]
    total, rows = load_newest(found, Customer, limit, offset)
    return total, [
        Hit(
            id=f"customer:{customer.id}",
            kind="customer",
            title=customer.name,
            title_html=escape(customer.name),
            url=f"/customers/{customer.id}",
            language=customer.language,
            updated_at=customer.updated_at,
        )
        for customer in rows
    ]


def standing(customer_id: int) -> Standing | None:
    """Tell how a profile stands; profiles are the staff's."""
    customer = db.session.get(Customer, customer_id)
    if customer is None:
        return None
    return Standing(title=customer.name, url=f"/customers/{customer.id}", readers=frozenset({access.STAFF}))


def look_up(text: str) -> int | None:
    """Find a profile by its address."""
    number = text.rstrip("/").removeprefix("/customers/")
    if not text.startswith("/customers/") or not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    return db.session.scalar(select(Customer.id).where(Customer.id == int(number)))


SOURCE = Source(kind="customer", readable_ids=readable_ids, find_titles=find_titles, standing=standing, look_up=look_up)
