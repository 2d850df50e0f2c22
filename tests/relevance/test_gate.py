"""The ranking may not fall: nDCG@10 of each judged collection against the baseline, with the queries that got worse."""

import uuid
from collections.abc import Iterator

import pytest

from portal.search.engine import SearchEngine
from tests.contract.conftest import ENGINES, clear, make
from tests.relevance import gate
from tests.relevance.collection import Collection, open_collections, open_folder, own_collection


@pytest.fixture(scope="module", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SearchEngine, str]]:
    """An engine, and the prefix of its indices."""
    made, prefix = make(request, tmp_path_factory.mktemp(f"relevance-{uuid.uuid4().hex[:6]}"))
    yield made, prefix
    clear(made, prefix)


def judge(engine: SearchEngine, collection: Collection) -> gate.Verdict:
    before = gate.read_baseline(engine.name, collection.name)
    return gate.compare(f"{engine.name} {collection.name}", before, gate.measure(engine, collection))


@pytest.mark.thorough
def test_the_own_collection_is_answered_as_well_as_before(engine: tuple[SearchEngine, str]) -> None:
    searched, prefix = engine
    collection = own_collection()
    gate.fill(searched, f"{prefix}-own", [collection])
    verdict = judge(searched, collection)
    print(verdict)
    assert verdict.holds, f"\n{verdict}"


@pytest.mark.thorough
def test_the_open_collections_are_answered_as_well_as_before(engine: tuple[SearchEngine, str]) -> None:
    folder = open_folder()
    if folder is None:
        pytest.skip("no data: the open collections do not lie beside the checkout")
    searched, prefix = engine
    collections = open_collections(folder)
    gate.fill(searched, f"{prefix}-open", collections)
    verdicts = [judge(searched, collection) for collection in collections]
    print(gate.table(verdicts))
    assert all(verdict.holds for verdict in verdicts), f"\n{gate.table(verdicts)}"


@pytest.mark.thorough
def test_the_engines_answer_alike() -> None:
    for collection in (own_collection(), *(open_collections(folder) if (folder := open_folder()) else ())):
        means = []
        for name in ENGINES:
            kept = gate.read_baseline(name, collection.name)
            means.append(gate.mean({query.id: kept[query.id] for query in collection.queries}))
        assert abs(means[0] - means[1]) <= 0.01, (collection.name, means)


def test_the_collection_covers_what_people_type() -> None:
    collection = own_collection()
    behaviours = {query.id.partition(":")[0] for query in collection.queries}
    assert behaviours == {
        "words", "questions", "inflection", "codes", "width", "chinese", "traditional", "taiwan", "mixed", "characters",
        "typing", "joined", "quotes", "minus", "fields", "manuals", "partial", "long",
    }  # fmt: skip
    assert len(collection.documents) >= 150
    assert len(collection.queries) >= 120
    known = {document.external_id for document in collection.documents}
    assert {name for query in collection.queries for name in query.relevance} <= known
    assert all(any(query.relevance.values()) for query in collection.queries)


def test_a_fall_is_told_with_its_queries() -> None:
    before = {f"q{number}": 1.0 for number in range(100)}
    verdict = gate.compare("made up", before, before | {"q7": 0.2, "q9": 0.9})
    assert not verdict.holds
    assert [query for query, _, _ in verdict.worse] == ["q7", "q9"]
    assert "1.000 → 0.200  q7" in str(verdict)
    assert gate.compare("made up", before, before | {"q7": 0.7}).holds
