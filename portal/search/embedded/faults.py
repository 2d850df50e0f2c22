"""What goes wrong in tantivy, in the protocol's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.search.engine import BadQuery, EngineDown, IndexCorrupt


def corrupt(name: str, why: str) -> IndexCorrupt:
    """Return the error that names an unreadable index and what to do."""
    return IndexCorrupt(
        f"The search index {name!r} cannot be read: {why}. Nothing is lost; `casebook index rebuild` makes it again."
    )


@contextmanager
def opening(name: str) -> Iterator[None]:
    """Say of anything that goes wrong while an index is opened that the index is corrupt."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise corrupt(name, str(error)[:200]) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise corrupt(name, "tantivy gave up on its files") from None


@contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into the protocol's."""
    try:
        yield
    except ValueError as error:
        raise BadQuery(f"The embedded engine refused a query: {str(error)[:200]}") from error
    except OSError as error:
        raise EngineDown(f"The search index cannot be read or written: {error.strerror or error}.") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise IndexCorrupt(
            "The search index cannot be read. Nothing is lost; `casebook index rebuild` makes it again."
        ) from None
