"""What OpenSearch refuses and how it fails, in the protocol's words."""

from collections.abc import Mapping
from typing import Any

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException, TransportError

from portal.search.engine import BadQuery, EngineBusy, EngineDown, EngineError, IndexMissing

CLIENT_ERROR, NOT_FOUND, CONFLICT, TOO_LARGE, TOO_MANY, SERVER_ERROR = 400, 404, 409, 413, 429, 500


def kind_of(error: TransportError) -> str:
    """Return the type of an error as OpenSearch names it; its reason may quote a document and is left alone."""
    info = error.info
    found = info.get("error") if isinstance(info, dict) else None
    if isinstance(found, dict):
        causes = found.get("root_cause") or [found]
        return str(causes[0].get("type") or found.get("type", ""))
    return ""


def error_of(answer: Mapping[str, Any]) -> TransportError:
    """Return the error that one of several requests met, as if it had been asked alone."""
    return TransportError(answer.get("status", SERVER_ERROR), "", answer)


class Faults:
    """Words for what goes wrong at these hosts."""

    def __init__(self, hosts: str) -> None:
        self.hosts = hosts

    def no_index(self) -> str:
        """Say that there is nothing to search yet."""
        return f"OpenSearch at {self.hosts} holds no search index yet. `casebook index rebuild` makes one."

    def not_asked(self) -> str:
        """Say that nobody waits for an engine that did not answer before."""
        return f"OpenSearch at {self.hosts} did not answer a moment ago; it is used again as soon as it does."

    def down(self, error: NoConnection) -> EngineDown:
        """Return the error for an engine that was not reached or did not answer in time."""
        if isinstance(error, ConnectionTimeout):
            return EngineDown(f"OpenSearch at {self.hosts} did not answer in time.")
        return EngineDown(f"OpenSearch cannot be reached at {self.hosts}. Is it running, and is the address right?")

    def translated(self, error: OpenSearchException) -> EngineError:
        """Turn the client's error into the protocol's."""
        if isinstance(error, NoConnection):
            return self.down(error)
        if not isinstance(error, TransportError) or not isinstance(error.status_code, int):
            return EngineDown(f"OpenSearch at {self.hosts} gave no usable answer ({type(error).__name__}).")
        status, kind = error.status_code, kind_of(error)
        if status == NOT_FOUND or kind == "index_closed_exception":
            return IndexMissing(self.no_index())
        if status == TOO_MANY:
            return EngineBusy(f"OpenSearch at {self.hosts} refuses work for the moment ({kind}).")
        if status in (401, 403):
            return EngineDown(
                f"OpenSearch at {self.hosts} refuses the user ({kind or status}). "
                "Check the name and password in CASEBOOK_SEARCH_URL."
            )
        if status >= SERVER_ERROR or status == 408:
            return EngineDown(f"OpenSearch at {self.hosts} cannot answer ({kind or status}).")
        return BadQuery(f"OpenSearch refused a query ({kind or status}).")
