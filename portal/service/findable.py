"""What the search asks of service records: which may still be read, and which subjects hold some words."""

from collections.abc import Collection
from typing import Any

from markupsafe import escape
from sqlalchemy import ColumnElement, Select, func, select

from portal import access
from portal.access import Viewer
from portal.extensions import db
from portal.search.results import Hit
from portal.search.sources import Source, Standing, make_readable_ids
from portal.search.titles import holds_words, load_newest
from portal.service.models import Record


def readable(viewer: Viewer) -> ColumnElement[bool]:
    """Return the rule of who may read a record."""
    return access.record_condition(viewer, customer_id=Record.customer_id, requester_id=Record.requester_id)  # type: ignore[arg-type]


def select_readable(viewer: Viewer, *columns: Any) -> Select[Any]:
    """Begin a query over the records this viewer may read."""
    return select(*(columns or (Record,))).select_from(Record).where(readable(viewer))


readable_ids = make_readable_ids(select_readable, Record.id)


def find_titles(
    viewer: Viewer, words: Collection[str], kinds: Collection[str], limit: int, offset: int
) -> tuple[int, list[Hit]]:
    """Look the words up in subjects and numbers, newest first."""
    if kinds and "record" not in kinds:
        return 0, []
    found = select_readable(viewer, Record).where(holds_words(words, Record.subject, Record.number))  # type: ignore[arg-type]
    total, rows = load_newest(found, Record, limit, offset)
    return total, [
        Hit(
            id=f"record:{record.id}",
            kind="record",
            title=record.subject,
            title_html=escape(record.subject),
            identifiers=(record.number,),
            url=f"/records/{record.number}",
            language=record.language,
            status=record.state,
            updated_at=record.updated_at,
        )
        for record in rows
    ]


def standing(record_id: int) -> Standing | None:
    """Tell how a record stands; records are never drafts."""
    record = db.session.get(Record, record_id)
    if record is None:
        return None
    return Standing(
        title=f"{record.number} {record.subject}",
        url=f"/records/{record.number}",
        readers=access.record_tokens(customer_id=record.customer_id, requester_id=record.requester_id),
    )


def look_up(text: str) -> int | None:
    """Find a record by its number or address."""
    number = text.rstrip("/").removeprefix("/records/").upper()
    return db.session.scalar(select(Record.id).where(func.upper(Record.number) == number).limit(1))


SOURCE = Source(kind="record", readable_ids=readable_ids, find_titles=find_titles, standing=standing, look_up=look_up)
