"""What the second stage changes on both engines, and what it never changes: totals, facets, rights."""

from collections.abc import Iterator, Sequence

import pytest

from portal.search.document import Document
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.guidance import NOT_STEERED, Steering
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.request import SearchRequest
from portal.search.results import SearchResult
from portal.search.stages import SecondStage, Stage, make_stages
from tests.contract.conftest import ENGINES, clear, make, put
from tests.contract.corpus import CARLA, CORPUS, NOBODY, NOW, ago, document

ALIKE: list[Document] = [
    document(100 + number, "Toner cartridge", "Shake the cartridge.", updated_at=ago(days=3)) for number in range(70)
]
WORSE = document(180, "Toner", "One cartridge " + "and much else " * 40, popularity=1e6, helpfulness=1.0)
LOVED = document(190, "Toner cartridge", "Shake the cartridge.", popularity=900.0, helpfulness=0.9, tags=("toner",))


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """An engine with the shop and seventy articles that say the same; its second stage is set by each test."""
    engine, prefix = make(request, tmp_path_factory.mktemp("stages"))
    engine.create_index(f"{prefix}-1")
    put(engine, [*CORPUS, *ALIKE[:30], WORSE, LOVED, *ALIKE[30:]], f"{prefix}-1")
    engine.swap(f"{prefix}-1")
    yield engine
    clear(engine, prefix)


def ask(
    engine: SearchEngine, text: str, *, stages: Sequence[Stage], steering: Steering = NOT_STEERED, **more: object
) -> SearchResult:
    assert isinstance(engine, EmbeddedEngine | OpenSearchEngine)
    engine._second = SecondStage(tuple(stages), lambda _: steering)
    return engine.search(SearchRequest(text=text, now=NOW, **{"viewer": NOBODY, **more}))  # type: ignore[arg-type]


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def counts(result: SearchResult) -> dict[str, dict[str, int]]:
    return {name: {value.value: value.count for value in values} for name, values in result.facets.items()}


def test_priors_are_put_in_and_taken_out(filled: SearchEngine) -> None:
    with_priors = ask(filled, "toner cartridge", stages=make_stages(("priors",)))
    without = ask(filled, "toner cartridge", stages=(), size=100)
    assert ids(with_priors)[0] == LOVED.id
    assert ids(without)[0] != LOVED.id
    assert with_priors.total == without.total == 72
    assert counts(with_priors) == counts(without)
    assert ids(without)[-1] == WORSE.id, "text decides, however much is read"
    assert WORSE.id not in ids(with_priors)


def test_a_stage_sees_scores_and_what_is_stored(filled: SearchEngine) -> None:
    class Backwards:
        name = "backwards"

        def __init__(self) -> None:
            self.seen: list[tuple[str, float, str]] = []

        def order(self, candidates: Sequence, request: SearchRequest) -> Sequence:  # type: ignore[type-arg]
            self.seen = [(c.id, c.score, str(c.read().get("title", ""))) for c in candidates]
            return list(reversed(candidates))

    stage = Backwards()
    forwards = ids(ask(filled, "printer", stages=()))
    backwards = ids(ask(filled, "printer", stages=(stage,)))
    assert backwards == forwards[::-1]
    assert [name for name, _, _ in stage.seen] == forwards
    assert all(score > 0 for _, score, _ in stage.seen)


def test_pages_hold_every_hit_once(filled: SearchEngine) -> None:
    pinned = Steering(pinned=("article:3",))
    seen: list[str] = []
    for page in range(1, 5):
        result = ask(filled, "toner cartridge", stages=make_stages(("priors", "pins")), steering=pinned, page=page)
        seen += ids(result)
        assert result.total == 73
    assert seen[0] == "article:3"
    assert len(seen) == len(set(seen)) == 73


def test_a_pin_comes_first_within_rights_and_filters(filled: SearchEngine) -> None:
    stages = make_stages(("pins",))
    steering = Steering(pinned=("article:10", "article:4", "record:21"))
    plain = ask(filled, "printer", stages=())
    public = ask(filled, "printer", stages=stages, steering=steering)
    assert ids(public)[0] == "article:4"
    assert public.hits[0].is_pinned
    assert public.total == plain.total + 1
    assert counts(public)["language"]["zh"] == counts(plain)["language"]["zh"] + 1
    assert not {"article:10", "record:21"} & set(ids(public)), "a pin opens nothing that may not be read"
    staff = ask(filled, "printer", stages=stages, steering=steering, viewer=CARLA)
    assert ids(staff)[:3] == ["article:10", "article:4", "record:21"]
    chosen = ask(filled, "printer", stages=stages, steering=steering, filters={"language": ("en",)})
    assert "article:4" not in ids(chosen)
    assert ids(ask(filled, "printer language", stages=(), steering=steering))[0] != "article:4"


def test_a_pin_counts_the_same_in_every_order(filled: SearchEngine) -> None:
    steering = Steering(pinned=("article:4",))
    totals = {
        ask(filled, "printer", stages=make_stages(("pins",)), steering=steering, sort=sort).total
        for sort in ("relevance", "newest", "popular")
    }
    assert len(totals) == 1


def test_hidden_is_not_found_nor_counted(filled: SearchEngine) -> None:
    plain = ask(filled, "printer", stages=())
    first = ids(plain)[0]
    steered = ask(filled, "printer", stages=make_stages(("pins",)), steering=Steering(hidden=(first,)))
    assert first not in ids(steered)
    assert steered.total == plain.total - 1
    assert sum(counts(steered)["kind"].values()) == sum(counts(plain)["kind"].values()) - 1


def test_reasons_tell_the_rank_that_readers_see(filled: SearchEngine) -> None:
    steering = Steering(pinned=("article:4",))
    shown = ids(ask(filled, "printer", stages=make_stages(("priors", "pins")), steering=steering, viewer=CARLA))
    for rank, name in enumerate(shown, start=1):
        request = SearchRequest(viewer=CARLA, text="printer", now=NOW)
        assert filled.explain(request, name).rank == rank, name
