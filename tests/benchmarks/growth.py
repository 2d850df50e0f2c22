"""What grows when the documents are ten times as many: both indices are written, then asked in turn.

Asked in turn, a busy moment of the machine meets both alike, so the ratio holds where the milliseconds do not.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from opensearch.node.server import Node
from portal.access import PUBLIC
from portal.search.current import ready_maker
from portal.search.document import Document, Kind, Ready
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.request import SearchRequest
from tests.benchmarks.measures import AGENT, GOALS, WARM_UP
from tests.benchmarks.table import Table, percentile
from tests.benchmarks.texts import Texts
from tests.installation import resident_mb

MADE_AT_ONCE = 2_000
MADE_AHEAD = 6
BULK_LINES = 500
NODE_MEMORY = "2g"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where two indices of one engine lie: a folder, or the address of a node."""

    engine: str
    at: str

    def open(self, name: str, *, for_writing: bool = False) -> SearchEngine:
        if self.engine == "embedded":
            return EmbeddedEngine(Path(self.at) / name)
        return OpenSearchEngine(hosts=[self.at], prefix=name, for_writing=for_writing)


def embedded(table: Table, folder: Path, data: Path, queries: Sequence[str], most: int) -> None:
    """Grow the embedded engine to so many documents."""
    _grow(table, _Place("embedded", str(folder)), data, queries, most)


def opensearch(table: Table, folder: Path, data: Path, queries: Sequence[str], most: int) -> None:
    """Grow one OpenSearch node to so many documents."""
    node = Node(folder / "node", memory=NODE_MEMORY, quick=False)
    node.start()
    try:
        _grow(table, _Place("opensearch", node.url), data, queries, most)
    finally:
        node.stop()


def _grow(table: Table, place: _Place, data: Path, queries: Sequence[str], most: int) -> None:
    sizes = {"tenth": most // 10, "whole": most}
    for name, count in sizes.items():
        engine = place.open(name, for_writing=True)
        began, text_bytes = time.perf_counter(), 0
        engine.create_index(f"{name}-1")
        for batch, length in _ready(place.engine, data, count):
            text_bytes += length
            engine.write(f"{name}-1", batch)
        engine.commit(f"{name}-1")
        rate = count / (time.perf_counter() - began)
        engine.swap(f"{name}-1")
        [live] = [index for index in engine.list_indices() if index.is_live]
        engine.close()
        table.add(f"{place.engine}: {count:,} documents, written", f"{rate:,.0f}/s")
        what = f"{place.engine}:   index of {live.bytes / 1e6:,.0f} MB against {text_bytes / 1e6:,.0f} MB of text"
        table.at_most(what, live.bytes / text_bytes, GOALS["times the text"], " ×")
    # What wrote has a high peak of memory behind it: a fresh process is asked, as web processes are.
    with get_context("spawn").Pool(1) as process:
        took, memory = process.apply(_ask_in_turn, (place, list(sizes), list(queries)))
    for name, count in sizes.items():
        table.spread(f"{place.engine}: query, facets and highlights at {count:,}", took[name], " ms")
        own, mapped = memory[name]
        what = f"{place.engine}:   a process that reads them holds"
        table.add(what, f"{own - mapped:.0f} MB of its own and {mapped:.0f} MB mapped")
    for share in (50, 95):
        ratio = percentile(took["whole"], share) / percentile(took["tenth"], share)
        what = f"{place.engine}: p{share} at {most:,} against {most // 10:,}, asked in turn"
        table.at_most(what, ratio, GOALS["times at a tenth"], " ×")


def _ask_in_turn(
    place: _Place, names: Sequence[str], queries: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, tuple[float, float]]]:
    """Return the milliseconds of each answer, and the process's memory after it read each index alone."""
    engines, memory = {}, {}
    for name in names:
        engines[name] = place.open(name)
        for text in queries[:WARM_UP]:
            engines[name].search(SearchRequest(viewer=AGENT, text=text))
        memory[name] = resident_mb()
    took: dict[str, list[float]] = {name: [] for name in names}
    for text in queries:
        for name, engine in engines.items():
            began = time.perf_counter()
            engine.search(SearchRequest(viewer=AGENT, text=text))
            took[name].append((time.perf_counter() - began) * 1000)
    for engine in engines.values():
        engine.close()
    return took, memory


def _ready(engine: str, data: Path, count: int) -> Iterator[tuple[list[Ready], int]]:
    """Yield documents ready to be written, by all processors, with the bytes of their texts."""
    pieces = ((engine, start, min(MADE_AT_ONCE, count - start)) for start in range(0, count, MADE_AT_ONCE))
    with get_context("spawn").Pool(initializer=_begin, initargs=(data,)) as processes:
        # No more ahead than this: a slow writer would pile up the whole of it in memory.
        ahead = deque(processes.apply_async(_make, (piece,)) for piece in itertools.islice(pieces, MADE_AHEAD))
        while ahead:
            made, length = ahead.popleft().get()
            ahead.extend(processes.apply_async(_make, (piece,)) for piece in itertools.islice(pieces, 1))
            batches = [made[at : at + BULK_LINES] for at in range(0, len(made), BULK_LINES)]
            yield from zip(batches, itertools.chain([length], itertools.repeat(0)), strict=False)


_TEXTS: list[Texts] = []


def _begin(data: Path) -> None:
    _TEXTS.append(Texts(data))


def _make(piece: tuple[str, int, int]) -> tuple[list[Ready], int]:
    engine, start, count = piece
    make = ready_maker(engine)
    documents = [_document(number, line) for number, line in enumerate(_TEXTS[0].articles(count, start=start), start)]
    return [make(item) for item in documents], sum(len(f"{item.title}{item.body}".encode()) for item in documents)


def _document(number: int, line: dict[str, Any]) -> Document:
    at = datetime.fromisoformat(line["updated_at"])
    return Document(
        id=f"article:{number + 1}",
        version=1,
        kind=Kind.FAQ,
        readers=frozenset({PUBLIC}),
        title=line["title"],
        body=line["text"],
        language=line["lang"],
        categories=tuple(line["meta"]["category"].split(" > ")),
        products=(line["meta"]["product"],),
        tags=tuple(line["meta"]["tags"]),
        status="published",
        source="grown",
        external_id=line["id"],
        url=f"/articles/{number + 1}",
        created_at=at,
        updated_at=at,
    )
