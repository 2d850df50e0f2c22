"""Pins, hides, weights and synonyms act inside the query, alike on both engines."""

import pytest

from portal.access import Viewer
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.guidance import Guidance, Rule
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.ranking import Weights, default_synonyms
from portal.search.request import SearchRequest
from portal.search.results import Presence, SearchResult
from portal.search.stages import SecondStage
from tests.contract.conftest import put
from tests.contract.corpus import ALICE, CARLA, CORPUS, NOBODY, NOW

PIN = Rule(id=1, is_pin=True, words="paper jam", document_id="article:3")
SECOND = Rule(id=2, is_pin=True, words="paper jam", document_id="article:12", position=2)
SECRET = Rule(id=3, is_pin=True, words="paper jam", document_id="article:10")
HIDE = Rule(id=4, is_pin=False, words="printer", document_id="article:1", is_exact=False)


@pytest.fixture
def shop(engine: SearchEngine) -> SearchEngine:
    put(engine, CORPUS)
    return engine


def ask(engine: SearchEngine, text: str, *rules: Rule, viewer: Viewer = NOBODY, **more: object) -> SearchResult:
    guidance = Guidance(synonyms=default_synonyms(), rules=rules)
    return engine.search(SearchRequest(viewer=viewer, text=text, now=NOW, guidance=guidance, **more))  # type: ignore[arg-type]


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def test_pins_stand_first_within_rights_filters_and_paging(shop: SearchEngine) -> None:
    bare = ask(shop, "paper jam")
    pinned = ask(shop, "paper jam", SECOND, PIN, SECRET)
    assert ids(pinned) == ["article:3", "article:12", *ids(bare)]
    assert pinned.total == bare.total + 2
    assert sum(v.count for v in pinned.facets["kind"]) == pinned.total
    assert "article:10" not in ids(ask(shop, "paper jam", SECRET, viewer=ALICE))
    assert ids(ask(shop, "paper jam", SECRET, viewer=CARLA))[0] == "article:10"
    assert ids(ask(shop, "paper jam", PIN, filters={"tag": ("paper",)})) == ["article:2"]
    assert ids(ask(shop, "paper jam", PIN, SECOND, size=1, page=2)) == ["article:12"]
    assert ids(ask(shop, "paper jam -password", PIN)) == ids(bare), "what is left out stays out"
    scores = [hit.score for hit in pinned.hits]
    assert max(scores) < 1000, scores


def test_pins_keep_out_of_other_orders_and_of_likeness(shop: SearchEngine) -> None:
    newest = ask(shop, "paper jam", PIN, sort="newest")
    assert ids(newest) == sorted(ids(newest), key=["article:3", "article:2"].index)
    assert shop.similar(NOBODY, "paper jam")[0].id == "article:2"


def test_a_hide_leaves_totals_and_facets(shop: SearchEngine) -> None:
    bare, hidden = ask(shop, "printer cable"), ask(shop, "printer cable", HIDE)
    assert set(ids(bare)) - set(ids(hidden)) == {"article:1"}
    assert hidden.total == bare.total - 1
    assert sum(v.count for v in hidden.facets["kind"]) == hidden.total
    assert ask(shop, "printer cable", HIDE, with_hides=False).total == bare.total
    assert ids(ask(shop, "driver", HIDE)) == ids(ask(shop, "driver"))
    explained = shop.explain(
        SearchRequest(viewer=CARLA, text="printer", now=NOW, guidance=Guidance(rules=(HIDE,))), "article:1"
    )
    assert explained.presence == Presence.HIDDEN


def test_weights_are_those_of_the_moment(shop: SearchEngine) -> None:
    def score(weights: Weights) -> float:
        guidance = Guidance(weights=weights)
        return shop.search(SearchRequest(viewer=NOBODY, text="paper jam", now=NOW, guidance=guidance)).hits[0].score

    assert score(Weights(title=5.0)) > score(Weights(title=0.5)) > score(Weights(title=0.0, lead=0.0, words=0.0))


def test_a_synonym_of_the_moment_leads_one_way(shop: SearchEngine) -> None:
    from portal.search.ranking import OneWay

    guidance = Guidance(synonyms=(OneWay("quetzal", ("jam",)),))
    for text, found in (("quetzal", ["article:2"]), ("jam", ["article:2"])):
        result = shop.search(SearchRequest(viewer=NOBODY, text=text, now=NOW, guidance=guidance))
        assert ids(result) == found
    assert ask(shop, "quetzal").total == 0


def steer(engine: SearchEngine, *rules: Rule) -> None:
    """Let rules be in force for whatever carries no guidance of its own."""
    assert isinstance(engine, EmbeddedEngine | OpenSearchEngine)
    guidance = Guidance(rules=rules)
    engine._second = SecondStage(steer=lambda asked: guidance.steering_of(asked.query))


def offered(engine: SearchEngine, text: str, viewer: Viewer = NOBODY) -> list[str]:
    return [suggestion.id for suggestion in engine.suggest(viewer, text)]


def test_what_is_hidden_for_the_words_is_not_offered_while_they_are_typed(shop: SearchEngine) -> None:
    assert "article:1" in offered(shop, "printer")
    steer(shop, HIDE)
    for text in ("printer", "the printer", "Printers"):
        assert "article:1" not in offered(shop, text), text
    assert offered(shop, "the pr") == ["article:1"], "the words of the rule are not typed yet"
    steer(shop)
    assert "article:1" in offered(shop, "printer")


def test_pins_are_offered_first_within_rights(shop: SearchEngine) -> None:
    assert offered(shop, "paper jam") == ["article:2"]
    steer(shop, SECOND, PIN, SECRET)
    assert offered(shop, "paper jam") == ["article:3", "article:12", "article:2"]
    assert offered(shop, "paper jam", CARLA)[:2] == ["article:3", "article:10"]
    assert offered(shop, "paper ja") == ["article:2"]
    assert [s.id for s in shop.suggest(NOBODY, "paper jam", 1)] == ["article:3"]
    steer(shop, PIN, Rule(id=9, is_pin=False, words="paper jam", document_id="article:3"))
    assert offered(shop, "paper jam") == ["article:2"], "a hide is stronger"


def test_rules_are_about_searches_and_not_about_what_is_alike(shop: SearchEngine) -> None:
    bare = [hit.id for hit in shop.similar(NOBODY, "printer cable")]
    assert "article:1" in bare
    steer(shop, HIDE, Rule(id=5, is_pin=True, words="printer", document_id="article:12", is_exact=False))
    assert [hit.id for hit in shop.similar(NOBODY, "printer cable")] == bare
