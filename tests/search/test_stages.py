"""The second stage: who may stand before whom, what a stage may not do, and how it is chosen."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from portal import settings
from portal.access import ANONYMOUS
from portal.search.guidance import Steering
from portal.search.request import SearchRequest
from portal.search.stages import (
    FIRST,
    MOST_LIFT,
    STAGES,
    Candidate,
    Pins,
    Priors,
    SecondStage,
    StageError,
    Window,
    arrange,
    make_stages,
    page_of,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ASKED = SearchRequest(viewer=ANONYMOUS, text="printer", now=NOW)
PLAIN = Candidate(id="plain", score=10.0, helpfulness=0.0)
LOVED = Candidate(id="loved", score=10.0, helpfulness=1.0, popularity=1e6, updated_at=NOW)


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]


def test_among_equals_the_used_and_helpful_and_fresh_comes_first() -> None:
    assert ids(Priors().order([PLAIN, LOVED], ASKED)) == ["loved", "plain"]
    for better in (
        Candidate(id="used", score=10.0, helpfulness=0.0, popularity=50.0),
        Candidate(id="helpful", score=10.0, helpfulness=0.9),
        Candidate(id="fresh", score=10.0, helpfulness=0.0, updated_at=NOW - timedelta(days=2)),
    ):
        assert ids(Priors().order([PLAIN, better], ASKED)) == [better.id, "plain"]


def test_no_prior_outranks_better_text() -> None:
    ahead = Candidate(id="ahead", score=10.0 * (1 + MOST_LIFT) + 0.01, helpfulness=0.0)
    assert ids(Priors().order([ahead, LOVED], ASKED)) == ["ahead", "loved"]


def test_equals_keep_the_order_of_the_engine() -> None:
    same = [Candidate(id=str(number), score=5.0) for number in range(9)]
    assert ids(Priors().order(same, ASKED)) == ids(same)


def test_pinned_comes_first_however_it_scores() -> None:
    pinned = Candidate(id="pinned", score=0.0, is_pinned=True)
    assert ids(arrange((Priors(), Pins()), [LOVED, pinned], ASKED)) == ["pinned", "loved"]
    assert ids(arrange((Priors(),), [LOVED, pinned], ASKED)) == ["loved", "pinned"]


class Loses:
    """A stage with a fault."""

    name = "loses"

    def order(self, candidates: Sequence[Candidate], request: SearchRequest) -> Sequence[Candidate]:
        return candidates[1:]


def test_a_stage_that_changes_what_was_found_is_named() -> None:
    with pytest.raises(StageError, match="'loses' may only change the order"):
        arrange((Loses(),), [PLAIN, LOVED], ASKED)


def test_stages_are_made_by_name_in_the_order_given() -> None:
    assert [stage.name for stage in make_stages(("pins", "priors"))] == ["pins", "priors"]
    assert make_stages(()) == ()
    with pytest.raises(StageError, match="'magic' is no stage"):
        make_stages(("magic",))


def test_the_setting_knows_every_stage() -> None:
    assert tuple(STAGES) == settings.STAGES


def test_pages_beyond_the_candidates_stay_as_the_engine_ranks() -> None:
    second = SecondStage()
    assert second.window_of(ASKED) == Window(0, FIRST, is_arranged=True)
    late = SearchRequest(viewer=ANONYMOUS, text="printer", page=4, size=20)
    assert second.window_of(late) == Window(60, 20, is_arranged=False)
    # One document pinned before all others moves the rest down by one.
    assert second.window_of(late, pinned=1) == Window(59, 20, is_arranged=False)
    straddling = SearchRequest(viewer=ANONYMOUS, text="printer", page=3, size=20)
    assert second.window_of(straddling) == Window(0, 60, is_arranged=True)


def test_no_stage_or_another_order_leaves_pages_to_the_engine() -> None:
    assert SecondStage(()).window_of(ASKED) == Window(0, 20, is_arranged=False)
    newest = SearchRequest(viewer=ANONYMOUS, text="printer", sort="newest")
    assert SecondStage().window_of(newest) == Window(0, 20, is_arranged=False)


def test_every_rank_stands_on_exactly_one_page() -> None:
    ranked = [Candidate(id=str(number), score=100.0 - number, popularity=number * 50.0) for number in range(130)]
    pinned = [Candidate(id="pin", score=0.0, is_pinned=True)]
    second = SecondStage()
    seen: list[str] = []
    for page in range(1, 8):
        request = SearchRequest(viewer=ANONYMOUS, text="printer", page=page, now=NOW)
        window = second.window_of(request, pinned=1)
        found = ranked[window.offset : window.offset + window.size]
        seen += ids(page_of(second.stages, window, pinned, found, request))
    assert seen[0] == "pin"
    assert sorted(seen) == sorted(["pin", *ids(ranked)])


def test_editors_steer_only_words_and_only_where_a_stage_pins() -> None:
    second = SecondStage(make_stages(("pins",)), lambda request: Steering(pinned=("article:1",)))
    assert second.steering_of(ASKED).pinned == ("article:1",)
    assert second.steering_of(SearchRequest(viewer=ANONYMOUS)).pinned == ()
    assert SecondStage(make_stages(("priors",)), second.steer).steering_of(ASKED).pinned == ()
