"""Looking up titles in SQL: what remains of search while the engine is down."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, true

LONGEST_PATTERN = 60


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
