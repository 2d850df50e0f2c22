"""The writing side of an engine in memory, as the protocol has it: what the indexer does shows without an index.

`durable` is what a commit made safe; `written` is what a dying process would lose.  Anything can be told to fail.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from portal.search.document import Document, Tombstone
from portal.search.engine import IndexMissing
from portal.search.results import EngineHealth, IndexedVersion, IndexSummary, Outcome, WriteOutcome

Item = Document | Tombstone


class MemoryEngine:
    name = "memory"

    def __init__(self) -> None:
        self.durable: dict[str, dict[str, Item]] = {}
        self.written: dict[str, dict[str, Item]] = {}
        self.live: str | None = None
        self.poisonous: set[str] = set()
        self.busy: set[str] = set()
        self.before: Callable[[str], None] = lambda _step: None

    # What the tests look at

    def documents(self, index: str | None = None) -> dict[str, Item]:
        return self.durable[index or self.live or ""]

    def held(self, index: str | None = None) -> dict[str, tuple[int, bool]]:
        return {
            name: (item.version, isinstance(item, Tombstone)) for name, item in sorted(self.documents(index).items())
        }

    def crash(self) -> None:
        """Lose what was not committed, as a killed process does."""
        self.written = {name: {} for name in self.durable}

    # The protocol

    def health(self) -> EngineHealth:
        return EngineHealth(engine=self.name, is_up=True, live_index=self.live)

    def create_index(self, name: str) -> None:
        self.before("create_index")
        assert name not in self.durable
        self.durable[name], self.written[name] = {}, {}

    def live_index(self) -> str | None:
        self.before("live_index")
        return self.live

    def list_indices(self) -> tuple[IndexSummary, ...]:
        return tuple(
            IndexSummary(name=name, documents=len(held), bytes=0, is_live=name == self.live)
            for name, held in self.durable.items()
        )

    def write(self, index: str, batch: Sequence[Item]) -> tuple[WriteOutcome, ...]:
        self.before("write")
        if index not in self.durable:
            raise IndexMissing(f"There is no index {index!r}.")
        return tuple(self._write(index, item) for item in batch)

    def _write(self, index: str, item: Item) -> WriteOutcome:
        outcome, reason = Outcome.DONE, ""
        known = self.written[index].get(item.id) or self.durable[index].get(item.id)
        if item.id in self.poisonous and isinstance(item, Document):
            outcome, reason = Outcome.REFUSED, "it is poisonous"
        elif item.id in self.busy:
            outcome = Outcome.RETRY
        elif known is not None and known.version > item.version:
            outcome = Outcome.SUPERSEDED
        else:
            self.written[index][item.id] = item
        return WriteOutcome(id=item.id, version=item.version, outcome=outcome, reason=reason)

    def commit(self, index: str) -> None:
        self.before("commit")
        self.durable[index].update(self.written[index])
        self.written[index] = {}

    def versions(self, index: str) -> Iterator[IndexedVersion]:
        for name, item in list(self.durable[index].items()):
            yield IndexedVersion(id=name, version=item.version, is_gone=isinstance(item, Tombstone))

    def count(self, index: str) -> int:
        return sum(isinstance(item, Document) for item in self.durable[index].values())

    def swap(self, index: str) -> None:
        self.before("swap")
        self.live = index

    def drop(self, index: str) -> None:
        self.before("drop")
        assert index != self.live
        self.durable.pop(index, None)
        self.written.pop(index, None)

    def check(self, index: str) -> None: ...

    def rest(self) -> None:
        self.before("rest")

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the indexer asked the engine for {name!r}, which is for readers")
