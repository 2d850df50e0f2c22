"""Writing documents to OpenSearch in bulk, and reading the answer item by item."""

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import TransportError

from portal.search.document import Document, Ready, Tombstone
from portal.search.engine import IndexMissing
from portal.search.opensearch.documents import Chunk, chunks_of
from portal.search.opensearch.faults import (
    CLIENT_ERROR,
    CONFLICT,
    NOT_FOUND,
    SERVER_ERROR,
    TOO_LARGE,
    TOO_MANY,
    Faults,
    kind_of,
)
from portal.search.opensearch.queries import Json
from portal.search.results import Outcome, WriteOutcome

WRITE_TIMEOUT_S = 60.0
_FIELD_IN_REASON = re.compile(r"(?:field|of) \[([A-Za-z_.]{1,60})\]")


class Bulk:
    """Writes batches through one client."""

    def __init__(self, client: OpenSearch, faults: Faults) -> None:
        self._client = client
        self._faults = faults

    def write(self, index: str, alias: str, batch: Sequence[Document | Tombstone | Ready]) -> tuple[WriteOutcome, ...]:
        """Write a batch through an index's alias and return what became of each document."""
        outcomes: list[WriteOutcome] = []
        sent: Future[list[WriteOutcome]] | None = None
        with ThreadPoolExecutor(max_workers=1) as sender:
            # While the cluster works on one chunk the next is made; never two at once, so that order is kept.
            for chunk in chunks_of(batch):
                if sent is not None:
                    outcomes += sent.result()
                sent = sender.submit(self._send, index, alias, chunk)
            if sent is not None:
                outcomes += sent.result()
        return tuple(outcomes)

    def _send(self, index: str, alias: str, chunk: Chunk) -> list[WriteOutcome]:
        """Send one bulk request; a request that is refused whole is halved until the document at fault stands alone."""
        try:
            answer = self._client.bulk(
                body=b"".join([item.body for item in chunk.items]),
                index=alias,
                params={"require_alias": "true", "request_timeout": WRITE_TIMEOUT_S},
            )
        except NoConnection as error:
            raise self._faults.down(error) from None
        except TransportError as error:
            status = error.status_code
            if status == TOO_MANY:
                return [_outcome(item, Outcome.RETRY, kind_of(error)) for item in chunk.items]
            if status in (CLIENT_ERROR, TOO_LARGE):
                if len(chunk.items) == 1:
                    return [_outcome(chunk.items[0], Outcome.REFUSED, kind_of(error))]
                half = len(chunk.items) // 2
                first = Chunk(chunk.items[:half])
                second = Chunk(chunk.items[half:])
                return self._send(index, alias, first) + self._send(index, alias, second)
            raise self._faults.translated(error) from None
        found = []
        for item, result in zip(chunk.items, answer["items"], strict=True):
            found.append(self._one_outcome(index, item, next(iter(result.values()))))
        return found

    def _one_outcome(self, index: str, item: Ready, result: Json) -> WriteOutcome:
        status = int(result.get("status", SERVER_ERROR))
        error = result.get("error") or {}
        kind = str(error.get("type", ""))
        if status < CLIENT_ERROR:
            return _outcome(item, Outcome.DONE)
        if status == CONFLICT:
            return _outcome(item, Outcome.SUPERSEDED)
        if status == NOT_FOUND:
            raise IndexMissing(f"There is no search index {index!r} in OpenSearch to write to.")
        if status == TOO_MANY or status >= SERVER_ERROR or kind == "cluster_block_exception":
            return _outcome(item, Outcome.RETRY, kind)
        # The reason quotes the document; only the field's name is taken from it.
        place = _FIELD_IN_REASON.search(str(error.get("reason", "")))
        return _outcome(item, Outcome.REFUSED, f"{kind} in {place[1]}" if place else kind)


def _outcome(item: Ready, outcome: Outcome, reason: str = "") -> WriteOutcome:
    return WriteOutcome(id=item.id, version=item.version, outcome=outcome, reason=reason)
