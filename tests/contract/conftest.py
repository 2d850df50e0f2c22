"""Both engines, each with an installation of its own."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from portal.search.document import Document, Tombstone
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.opensearch.engine import OpenSearchEngine

ENGINES = ["embedded", "opensearch"]


def make(request: pytest.FixtureRequest, folder: Path) -> tuple[SearchEngine, str]:
    """Return an engine and the prefix of its indices' names."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    if request.param == "embedded":
        return EmbeddedEngine(folder), prefix
    url = request.getfixturevalue("opensearch_node").url
    return OpenSearchEngine(hosts=[url], prefix=prefix, for_writing=True), prefix


def clear(engine: SearchEngine, prefix: str) -> None:
    """Leave nothing in a server that other tests use."""
    if isinstance(engine, OpenSearchEngine):
        engine._client.indices.delete(index=f"{prefix}-*", params={"ignore_unavailable": "true"})
    engine.close()


@pytest.fixture(params=ENGINES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SearchEngine, str]]:
    """An engine without any index, and its prefix."""
    engine, prefix = make(request, tmp_path / "index")
    yield engine, prefix
    clear(engine, prefix)


@pytest.fixture
def engine(fresh: tuple[SearchEngine, str]) -> SearchEngine:
    """An engine with one live, empty index."""
    engine, prefix = fresh
    engine.create_index(f"{prefix}-1")
    engine.swap(f"{prefix}-1")
    return engine


def put(engine: SearchEngine, items: Sequence[Document | Tombstone], index: str | None = None) -> None:
    """Write and commit; every item must be taken."""
    name = index or engine.live_index()
    assert name is not None
    outcomes = engine.write(name, items)
    assert {outcome.outcome for outcome in outcomes} <= {"done", "superseded"}, outcomes
    engine.commit(name)
