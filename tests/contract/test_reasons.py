"""What is told of a hit's score adds up, on both engines: for pins, far down, and in other orders."""

from collections.abc import Iterator

import pytest

from portal.search.asking import REFINED
from portal.search.document import Document
from portal.search.engine import SearchEngine
from portal.search.guidance import Guidance, Rule
from portal.search.request import SearchRequest
from portal.search.results import Explanation, Hit
from tests.contract.conftest import ENGINES, clear, make, put
from tests.contract.corpus import CARLA, CORPUS, NOW, document

MANY = 230
ALIKE: list[Document] = [
    document(1000 + n, f"Valve {n}", "About the valve. " + "Filling words make this one longer. " * (n // 10))
    for n in range(MANY)
]
PLACED = Rule(id=1, is_pin=True, words="the big valve", document_id="article:1229")
STRANGE = Rule(id=2, is_pin=True, words="big valve", document_id="article:3", position=2)


@pytest.fixture(scope="module", params=ENGINES)
def depot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """An engine with more matches than are looked at closely; tests only read it."""
    engine, prefix = make(request, tmp_path_factory.mktemp("reasons"))
    engine.create_index(f"{prefix}-1")
    put(engine, [*CORPUS, *ALIKE], f"{prefix}-1")
    engine.swap(f"{prefix}-1")
    yield engine
    clear(engine, prefix)


def asked(text: str, *rules: Rule, **more: object) -> SearchRequest:
    values = {"viewer": CARLA, "now": NOW, "explain": True, "guidance": Guidance(rules=rules), **more}
    return SearchRequest(text=text, **values)  # type: ignore[arg-type]


def adds_up(told: Hit | Explanation) -> bool:
    return sum(field.score for field in told.matched_fields) == pytest.approx(told.score, rel=0.002, abs=0.001)


def test_a_pinned_hit_tells_what_its_own_score_would_be(depot: SearchEngine) -> None:
    bare = {hit.id: hit.score for hit in depot.search(asked("big valve", size=100)).hits}
    pinned, strange, third = depot.search(asked("big valve", PLACED, STRANGE, size=100)).hits[:3]
    assert [pinned.id, strange.id] == ["article:1229", "article:3"]
    assert (pinned.is_pinned, strange.is_pinned, third.is_pinned) == (True, True, False)
    assert adds_up(pinned)
    assert adds_up(third)
    assert third.score == pytest.approx(max(bare.values()), rel=0.001)
    assert 0 < pinned.score < third.score
    assert (strange.score, strange.matched_fields) == (0.0, ()), "its words do not stand in it"
    silent = depot.search(asked("big valve", PLACED, STRANGE, explain=False)).hits[0]
    assert (silent.score, silent.matched_fields) == (pytest.approx(pinned.score, rel=0.001), ())


def test_a_pinned_document_is_explained_by_what_its_own_score_would_be(depot: SearchEngine) -> None:
    request = asked("big valve", PLACED, STRANGE)
    first, second = (depot.explain(request, rule.document_id) for rule in (PLACED, STRANGE))
    assert (first.rank, first.is_pinned, second.rank, second.is_pinned) == (1, True, 2, True)
    assert first.score > 0
    assert adds_up(first)
    assert (second.score, second.matched_fields) == (0.0, ())
    other = depot.explain(request, "article:1000")
    assert (other.is_pinned, other.rank) == (False, 3)


@pytest.mark.parametrize("rules", [(), (PLACED, STRANGE)])
def test_far_down_only_what_counts_there_is_told(depot: SearchEngine, rules: tuple[Rule, ...]) -> None:
    pages = [depot.search(asked("the big valve", *rules, size=100, page=page)).hits for page in (1, 2, 3)]
    shown = [hit for hits in pages for hit in hits]
    assert len(shown) == MANY + (1 if rules else 0)
    assert all(map(adds_up, shown))
    fields = [{field.field for field in hit.matched_fields} for hit in shown]
    assert "lead" in fields[REFINED - 10]
    assert all("lead" not in each and "words" not in each for each in fields[REFINED + 2 :])
    for place in (10, REFINED - 10, REFINED + 20):
        found = depot.explain(asked("the big valve", *rules), shown[place].id)
        assert adds_up(found)
        assert found.score == pytest.approx(shown[place].score, rel=0.001)
        assert found.is_refined is (place < REFINED)
        assert abs(found.rank - place - 1) <= 10, "equal scores may change places"


def test_in_another_order_there_is_no_score_to_explain(depot: SearchEngine) -> None:
    hits = depot.search(asked("valve", sort="newest")).hits
    assert {(hit.score, hit.matched_fields) for hit in hits} == {(0.0, ())}
