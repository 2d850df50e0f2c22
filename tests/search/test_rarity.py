"""How plans are weighed anew for readers outside the staff."""

from collections.abc import Collection, Mapping
from math import log

import pytest

from portal.access import Viewer
from portal.search import rarity
from portal.search.query import parse
from portal.search.ranking import Clause, Field, Plan, build_plan
from portal.search.rarity import Rarities, Spread, Term
from tests.contract.corpus import ALICE, CARLA, NOBODY

SPREAD = Spread(documents=50, of=100, open_documents=1, of_open=10)
FACTOR = log(1 + 9.5 / 1.5) / log(1 + 50.5 / 50.5)


class Engine:
    """Says the same of every term, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[Term]]] = []

    def count(self, tokens: Collection[str], terms: Collection[Term]) -> Mapping[Term, Spread]:
        self.asked.append((list(tokens), list(terms)))
        return dict.fromkeys(terms, SPREAD)


def test_terms_weigh_as_in_the_open_documents() -> None:
    plan = Plan(
        matching=(Clause(field=Field.ALL, terms=("a", "b"), weight=0.8),),
        scoring=(Clause(field=Field.ALL, terms=("a", "b"), weight=0.4, is_phrase=True),),
        refining=(Clause(field=Field.PINYIN, terms=("dyj",), weight=1.0, is_prefix=True),),
    )
    weighed = Rarities().weigh(plan, NOBODY, Engine().count)
    assert [(clause.terms, clause.weight) for clause in weighed.matching] == [
        (("a",), pytest.approx(0.8 * FACTOR)),
        (("b",), pytest.approx(0.8 * FACTOR)),
    ]
    assert [(clause.terms, clause.weight) for clause in weighed.scoring] == [(("a", "b"), pytest.approx(0.4 * FACTOR))]
    assert weighed.refining == plan.refining


@pytest.mark.parametrize(("viewer", "tokens"), [(NOBODY, ["public"]), (ALICE, ["customers", "public"])])
def test_open_is_what_everybody_of_a_kind_may_read(viewer: Viewer, tokens: list[str]) -> None:
    engine = Engine()
    Rarities().weigh(build_plan(parse("paper jam"), is_staff=False), viewer, engine.count)
    assert [asked for asked, _ in engine.asked] == [tokens]


def test_staff_and_plans_without_words_are_left_alone() -> None:
    engine, plan = Engine(), build_plan(parse("paper jam"), is_staff=True)
    assert Rarities().weigh(plan, CARLA, engine.count) is plan
    assert Rarities().weigh(Plan(), NOBODY, engine.count) == Plan()
    assert engine.asked == []


def test_spread_is_remembered_for_a_minute_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("portal.search.rarity.time.monotonic", lambda: clock)
    monkeypatch.setattr(rarity, "MOST_KEPT", 3)
    engine, rarities = Engine(), Rarities()

    def weigh(*terms: str) -> list[str]:
        engine.asked.clear()
        plan = Plan(matching=(Clause(field=Field.ALL, terms=terms),))
        assert len(rarities.weigh(plan, NOBODY, engine.count).matching) == len(terms)
        return [term for _, asked in engine.asked for _, term in asked]

    assert weigh("a", "b") == ["a", "b"]
    assert weigh("a", "b", "c") == ["c"]
    clock += rarity.KEPT_S
    assert weigh("a") == ["a"]
    assert weigh("a") == []
    assert weigh("d", "e") == ["d", "e"]
    assert weigh("f") == ["f"]
    assert weigh("a") == ["a"], "there is room for three; what was kept is forgotten for the fourth"
