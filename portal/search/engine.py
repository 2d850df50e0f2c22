"""What holds the index: the protocol that both engines keep.

The reading side takes requests that carry a viewer; the writing side takes documents that carry versions.  An engine
never reads SQL.  `tests/contract/` runs one suite on every implementation.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from portal.access import Viewer
from portal.search.document import Document, Ready, Tombstone
from portal.search.request import SearchRequest
from portal.search.results import (
    EngineHealth,
    Explanation,
    Hit,
    IndexedVersion,
    IndexSummary,
    SearchResult,
    Suggestion,
    WriteOutcome,
)


class EngineError(Exception):
    """The engine cannot do what was asked; the text is a sentence for the operator."""


class EngineDown(EngineError):
    """Nobody answers, or what answers has no usable index.  Readers get the degraded search."""


class EngineBusy(EngineError):
    """The engine refuses work for the moment; the same call may succeed shortly."""


class EngineLocked(EngineError):
    """Another process of this machine writes the embedded index."""


class IndexMissing(EngineDown):
    """There is no live index, or no index of this name.  A rebuild makes one."""


class IndexCorrupt(EngineDown):
    """The index on disk cannot be read.  Nothing is lost: a rebuild makes it again from SQL."""


class BadQuery(EngineError):
    """The engine refused a query that was built for it.  A fault of the product, not of the reader."""


class SearchEngine(Protocol):
    """An engine.  Every reading method applies the viewer's tokens inside the query.

    Reading methods raise `EngineDown` (also as `IndexMissing`, `IndexCorrupt`), `EngineBusy` or `BadQuery`.
    Writing methods raise these and `EngineLocked`; what concerns one document alone is in its `WriteOutcome`.
    """

    @property
    def name(self) -> str:
        """`embedded` or `opensearch`."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer a request: one page of hits, the exact total and the facets, all within the viewer's rights."""

    def suggest(self, viewer: Viewer, text: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """Return titles that begin as typed, or hold the typed words; Chinese ones also by pinyin and initials.

        What is pinned to the typed words comes first, and what is hidden for them does not come.
        """

    def similar(
        self,
        viewer: Viewer,
        text: str,
        kinds: Collection[str] = (),
        exclude: Collection[str] = (),
        limit: int = 5,
    ) -> tuple[Hit, ...]:
        """Return readable documents about the same matter as a longer text, best first; `exclude` holds ids.

        No pin or hide acts: these are about what people search.
        """

    def correct(self, request: SearchRequest) -> str | None:
        """Return the request's text with misspelt words mended, from words this viewer may read; None if none finds."""

    def explain(self, request: SearchRequest, document_id: str) -> Explanation:
        """Say why a document is or is not among the hits.  For staff."""

    def health(self) -> EngineHealth:
        """Say whether the engine answers.  Never raises."""

    def create_index(self, name: str) -> None:
        """Make an empty index, not yet read by anybody.  An index of that name must not exist."""

    def live_index(self) -> str | None:
        """Return the index that searches read; None when there is none yet."""

    def list_indices(self) -> tuple[IndexSummary, ...]:
        """Return the indices of this installation, also left-over ones."""

    def write(self, index: str, batch: Sequence[Document | Tombstone | Ready]) -> tuple[WriteOutcome, ...]:
        """Write a batch; the same or a newer version overwrites, an older one is superseded.

        What is `Ready` was made so by `portal.search.current.ready_maker` for this kind of engine.

        What is `done` is safe on disk after the next `commit(index)`.
        """

    def commit(self, index: str) -> None:
        """Make what was written durable and findable."""

    def versions(self, index: str) -> Iterator[IndexedVersion]:
        """Walk all documents and tombstones of an index, streaming; the order is the engine's."""

    def count(self, index: str) -> int:
        """Return how many documents the index holds, without tombstones."""

    def swap(self, index: str) -> None:
        """Let searches read this index from now on, in one switch that no search notices."""

    def drop(self, index: str) -> None:
        """Delete an index that is not the live one.  A missing one is no error."""

    def check(self, index: str) -> None:
        """Read the whole index and raise `IndexCorrupt` if something of it is damaged."""

    def rest(self) -> None:
        """Give back what only writing needs, if nothing was written for a while; who has a pause calls it often."""

    def close(self) -> None:
        """Let go of files, locks and connections; what was written is committed first."""
