"""What tests of service share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import event

from portal.extensions import db


@dataclass
class Count:
    value: int = 0


@pytest.fixture
def query_count(app) -> Callable[[], AbstractContextManager[Count]]:
    """Count the statements of a block."""

    @contextmanager
    def counted() -> Iterator[Count]:
        count = Count()

        def add(*_: object) -> None:
            count.value += 1

        event.listen(db.engine, "before_cursor_execute", add)
        try:
            yield count
        finally:
            event.remove(db.engine, "before_cursor_execute", add)

    return counted
