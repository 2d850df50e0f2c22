"""A typing error in a long question is mended as an offer, on both engines, and the offer answers better.

`slips.tsv` holds what was typed, what shall be offered (the same where nothing shall), and what is relevant to it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from portal.access import ANONYMOUS
from portal.search import corrections
from portal.search.answer import search_corrected
from portal.search.engine import SearchEngine
from portal.search.evaluation import JudgedQuery, score
from portal.search.request import SearchRequest
from portal.search.results import SearchResult
from tests.contract.conftest import ENGINES, clear, make
from tests.relevance import gate
from tests.relevance.collection import HERE, own_collection

LONG_LETTER = " ".join(f"Unknownword{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


def slips() -> list[tuple[str, str, dict[str, int]]]:
    lines = (HERE / "slips.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [
        (typed, meant, {name: int(grade) for name, grade in (one.split(":") for one in judged.split())})
        for typed, meant, judged in rows
    ]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """An engine that holds the collection."""
    made, prefix = make(request, tmp_path_factory.mktemp("slips"))
    gate.fill(made, f"{prefix}-slips", [own_collection()])
    yield made
    clear(made, prefix)


def ask(engine: SearchEngine, text: str) -> SearchResult:
    return search_corrected(SearchRequest(viewer=ANONYMOUS, text=text, size=10), engine=engine)


def test_what_was_meant_is_offered_and_never_put_in_place_of_what_was_typed(engine: SearchEngine) -> None:
    for typed, meant, _ in slips():
        found = ask(engine, typed)
        assert found.total, typed
        assert found.corrected_from is None
        assert found.did_you_mean == (meant if meant != typed else None)


def test_the_offer_answers_better(engine: SearchEngine) -> None:
    def ndcg(text: str, relevance: dict[str, int]) -> float:
        ranked = [hit.external_id for hit in ask(engine, text).hits]
        return score(JudgedQuery(text, text, relevance), ranked).ndcg

    both = [(ndcg(typed, relevance), ndcg(meant, relevance), typed) for typed, meant, relevance in slips()]
    for before, after, typed in both:
        print(f"{engine.name}: {before:.3f} → {after:.3f}  {typed[:80]}")
        assert after >= before, typed
    assert sum(after - before for before, after, _ in both) > 1.0


def test_a_long_letter_costs_few_look_ups(engine: SearchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    nearest = corrections._nearest

    def counted(word: str, *rest: Any, **more: Any) -> str | None:
        compared.append(word)
        return nearest(word, *rest, **more)

    monkeypatch.setattr(corrections, "_nearest", counted)
    result = engine.search(SearchRequest(viewer=ANONYMOUS, text=f"mower {LONG_LETTER}"))
    assert result.total
    assert result.missing_words == (), "in a letter many words are unknown, and nobody needs to be told which"
    assert len(compared) == corrections.MOST_NEAR
