"""Looking up titles in SQL: what remains of search while the engine is down."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, true

from portal.extensions import count_rows, db

LONGEST_PATTERN = 60


def load_newest(found: Select[Any], model: Any, limit: int, offset: int) -> tuple[int, Sequence[Any]]:
    """Return how many objects of the model a query finds, and a part of them, newest first."""
    newest = found.order_by(model.updated_at.desc(), model.id).limit(max(limit, 0)).offset(offset)
    return count_rows(found, model.id), db.session.scalars(newest).all()


def holds_words(words: Collection[str], *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that every word stands in one of the columns, whatever its case.

    The words are literal: `%` and `_` mean themselves.
    """
    return and_(
        true(),
        *(
            or_(*(func.lower(column).contains(word.lower()[:LONGEST_PATTERN], autoescape=True) for column in columns))
            for word in list(words)[:12]
        ),
    )
