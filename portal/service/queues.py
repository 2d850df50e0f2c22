"""The desk's queues and a customer's own list: pages of records, sorted and counted within the viewer's rights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import LazyString, lazy_gettext
from sqlalchemy import ColumnElement, and_, case, func, true
from sqlalchemy.orm import joinedload

from portal.access import Viewer
from portal.declared import looked_for
from portal.extensions import count_rows, db
from portal.service.findable import select_readable
from portal.service.models import PRIORITIES, Record
from portal.service.states import ACTIVE, DONE
from portal.vocabulary.models import Product

PAGE_SIZE = 25
DEEPEST_PAGE = 100_000


@dataclass(frozen=True, slots=True)
class Queue:
    """A named choice of records."""

    name: str
    label: LazyString
    condition: Callable[[Viewer], ColumnElement[bool]]


def _active(_viewer: Viewer) -> ColumnElement[bool]:
    return Record.state.in_(ACTIVE)


DESK: Mapping[str, Queue] = {
    queue.name: queue
    for queue in (
        Queue(
            "unassigned",
            lazy_gettext("Unassigned"),
            lambda viewer: and_(_active(viewer), Record.assignee_id.is_(None)),
        ),
        Queue(
            "mine",
            lazy_gettext("Mine"),
            lambda viewer: and_(_active(viewer), Record.assignee_id == viewer.user_id),
        ),
        Queue("waiting", lazy_gettext("Waiting"), lambda _viewer: Record.state == "waiting"),
        Queue("open", lazy_gettext("All open"), _active),
        Queue("resolved", lazy_gettext("Resolved"), lambda _viewer: Record.state == "resolved"),
        Queue("all", lazy_gettext("All"), lambda _viewer: true()),
    )
}
OWN: Mapping[str, Queue] = {
    queue.name: queue
    for queue in (
        Queue("open", lazy_gettext("Open"), _active),
        Queue("finished", lazy_gettext("Finished"), lambda _viewer: Record.state.in_(DONE)),
        Queue("all", lazy_gettext("All"), lambda _viewer: true()),
    )
}
SORTS: Mapping[str, Any] = {
    "updated": Record.updated_at,
    "created": Record.created_at,
    "number": Record.id,
    "subject": func.lower(Record.subject),
    "priority": case({name: rank for rank, name in enumerate(PRIORITIES)}, value=Record.priority, else_=-1),
}
DEFAULT_SORT = "-updated"


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of a queue, with the numbers of all queues beside it."""

    queue: Queue
    items: Sequence[Record]
    total: int
    page: int
    sort: str
    counts: Mapping[str, int]

    @property
    def pages(self) -> int:
        """Return how many pages there are."""
        return max(1, -(-self.total // PAGE_SIZE))


def load_page(
    viewer: Viewer,
    queues: Mapping[str, Queue],
    name: str,
    *,
    sort: str = DEFAULT_SORT,
    page: int = 1,
    product: str = "",
) -> QueuePage:
    """Load a page of a queue; an unknown name, order or page gives the first one."""
    queue = queues.get(name) or next(iter(queues.values()))
    key = sort.removeprefix("-")
    if key not in SORTS:
        sort, key = DEFAULT_SORT, "updated"
    page = page if 1 <= page <= DEEPEST_PAGE else 1
    wanted = select_readable(viewer).where(queue.condition(viewer))
    if product:
        wanted = wanted.where(Record.product.has(Product.slug == looked_for(product)))
    total = count_rows(wanted, Record.id)
    order = SORTS[key].desc() if sort.startswith("-") else SORTS[key].asc()
    items = db.session.scalars(
        wanted.options(joinedload(Record.customer), joinedload(Record.assignee), joinedload(Record.product))
        .order_by(order, Record.id.desc())
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    ).all()
    return QueuePage(queue=queue, items=items, total=total, page=page, sort=sort, counts=count_queues(viewer, queues))


def count_queues(viewer: Viewer, queues: Mapping[str, Queue]) -> dict[str, int]:
    """Count all queues in one pass over what this viewer may read."""
    counted = [func.count().filter(queue.condition(viewer)).label(name) for name, queue in queues.items()]
    row = db.session.execute(select_readable(viewer, *counted)).one()
    return {name: int(row._mapping[name]) for name in queues}


def count_products(viewer: Viewer, *, most: int = 12) -> list[tuple[Product, int]]:
    """Count the open records of each product, the busiest first."""
    rows = db.session.execute(
        select_readable(viewer, Product, func.count())
        .join(Product, Product.id == Record.product_id)
        .where(_active(viewer))
        .group_by(Product.id)
        .order_by(func.count().desc(), Product.name)
        .limit(most)
    ).all()
    return [(row[0], row[1]) for row in rows]


def load_history(viewer: Viewer, record: Record, *, most: int = 8) -> Sequence[Record]:
    """Return the other records of the same customer, or of the same asker, the latest first."""
    if record.customer_id is not None:
        same = Record.customer_id == record.customer_id
    elif record.requester_id is not None:
        same = Record.requester_id == record.requester_id
    else:
        return []
    return db.session.scalars(
        select_readable(viewer).where(same, Record.id != record.id).order_by(Record.updated_at.desc()).limit(most)
    ).all()


def load_of_customer(viewer: Viewer, customer_id: int, *, most: int = 20) -> tuple[Sequence[Record], int]:
    """Return the latest records of a customer, and how many there are in all."""
    wanted = select_readable(viewer).where(Record.customer_id == customer_id)
    rows = db.session.scalars(
        wanted.options(joinedload(Record.assignee), joinedload(Record.product))
        .order_by(Record.updated_at.desc())
        .limit(most)
    ).all()
    return rows, count_rows(wanted, Record.id)
