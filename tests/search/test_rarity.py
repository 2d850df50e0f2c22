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

FACTOR = log(1 + 9.5 / 1.5) / log(1 + 50.5 / 50.5)


class Engine:
    """Says the same of every term, and keeps what it was asked."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.asked_of_index: list[str] = []
        self.asked_of_open: list[str] = []

    def in_index(self, terms: Collection[Term]) -> Mapping[Term, Spread]:
        self.asked_of_index += [term for _, term in terms]
        return dict.fromkeys(terms, Spread(documents=50, of=100))

    def in_open(self, tokens: Collection[str], terms: Collection[Term]) -> Mapping[Term, Spread]:
        self.tokens = list(tokens)
        self.asked_of_open += [term for _, term in terms]
        return dict.fromkeys(terms, Spread(documents=1, of=10))


def rarities() -> Rarities:
    return Rarities(index_kept_s=5.0)


def test_terms_weigh_as_in_the_open_documents() -> None:
    plan = Plan(
        matching=(Clause(field=Field.ALL, terms=("a", "b"), weight=0.8),),
        scoring=(Clause(field=Field.ALL, terms=("a", "b"), weight=0.4, is_phrase=True),),
        refining=(Clause(field=Field.PINYIN, terms=("dyj",), weight=1.0, is_prefix=True),),
    )
    weighed = rarities().weigh(plan, NOBODY, Engine())
    assert [(clause.terms, clause.weight) for clause in weighed.matching] == [
        (("a",), pytest.approx(0.8 * FACTOR)),
        (("b",), pytest.approx(0.8 * FACTOR)),
    ]
    assert [(clause.terms, clause.weight) for clause in weighed.scoring] == [(("a", "b"), pytest.approx(0.4 * FACTOR))]
    assert weighed.refining == plan.refining


def test_what_the_index_does_not_hold_stays_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pasted text is mostly that, and each term by itself would cost more than all of them."""
    engine = Engine()
    held = engine.in_index

    def in_index(terms: Collection[Term]) -> Mapping[Term, Spread]:
        return {term: spread if term[1] == "b" else Spread(0, 100) for term, spread in held(terms).items()}

    monkeypatch.setattr(engine, "in_index", in_index)
    phrase = Clause(field=Field.ALL, terms=("a", "b"), is_phrase=True)
    plan = Plan(matching=(Clause(field=Field.ALL, terms=("a", "b", "c")),), refining=(phrase,))
    weighed = rarities().weigh(plan, NOBODY, engine)
    assert [(clause.terms, clause.weight) for clause in weighed.matching] == [
        (("b",), pytest.approx(FACTOR)),
        (("a", "c"), 1.0),
    ]
    assert weighed.refining == (phrase,)
    assert engine.asked_of_open == ["b"]


@pytest.mark.parametrize(("viewer", "tokens"), [(NOBODY, ["public"]), (ALICE, ["customers", "public"])])
def test_open_is_what_everybody_of_a_kind_may_read(viewer: Viewer, tokens: list[str]) -> None:
    engine = Engine()
    rarities().weigh(build_plan(parse("paper jam"), is_staff=False), viewer, engine)
    assert engine.tokens == tokens


def test_staff_and_plans_without_words_are_left_alone() -> None:
    engine, plan = Engine(), build_plan(parse("paper jam"), is_staff=True)
    assert rarities().weigh(plan, CARLA, engine) is plan
    assert rarities().weigh(Plan(), NOBODY, engine) == Plan()
    assert engine.asked_of_index == engine.asked_of_open == []


def test_counts_are_remembered_for_a_while_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("portal.search.rarity.time.monotonic", lambda: clock)
    monkeypatch.setattr(rarity, "MOST_KEPT", 3)
    engine, kept = Engine(), rarities()

    def weigh(*terms: str) -> tuple[list[str], list[str]]:
        engine.asked_of_index, engine.asked_of_open = [], []
        plan = Plan(matching=(Clause(field=Field.ALL, terms=terms),))
        assert len(kept.weigh(plan, NOBODY, engine).matching) == len(terms)
        return engine.asked_of_index, engine.asked_of_open

    assert weigh("a", "b") == (["a", "b"], ["a", "b"])
    assert weigh("a", "b", "c") == (["c"], ["c"])
    clock += 5
    assert weigh("b") == (["b"], []), "what hidden documents add to a score is asked for again soon"
    clock += rarity.OPEN_KEPT_S
    assert weigh("b") == (["b"], ["b"])
    assert weigh("b") == ([], [])
    assert weigh("d", "e") == (["d", "e"], ["d", "e"])
    assert weigh("f") == (["f"], ["f"])
    assert weigh("b") == (["b"], ["b"]), "there is room for three; what was kept is forgotten for the fourth"
