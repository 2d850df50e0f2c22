"""The second stage: orders the candidates that an engine found, and changes nothing else.

An engine finds, counts and filters; its best `FIRST` permitted documents go, with their scores and what was stored of
them, through the named stages of `CASEBOOK_SEARCH_STAGES` one after another.  A stage may only change the order: what
is found, the total, the facets and everybody's rights stay those of the engine.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from portal.search.guidance import NOT_STEERED, Steering
from portal.search.request import SearchRequest

FIRST = 50

MOST_LIFT = 0.04
"""How much of its score a document may gain: less than one more matched word, so only near equals change places."""

USED_OFTEN = 1_000.0
HALF_LIFE_DAYS = 365.0
USE_SHARE, HELPFULNESS_SHARE, FRESHNESS_SHARE = 0.4, 0.4, 0.2


def _nothing_stored() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One found document as the engine ranked it.

    `popularity` counts its readers and votes, `helpfulness` goes from 0 to 1 with .5 for "nobody said".  `read` gives
    what is stored of it and costs a look into the index.  `is_pinned` tells that an editor put it first, whatever its
    score; `is_refined` that the plan's refining clauses are part of its score.
    """

    id: str
    score: float
    updated_at: datetime | None = None
    popularity: float = 0.0
    helpfulness: float = 0.5
    is_pinned: bool = False
    is_refined: bool = True
    read: Callable[[], Mapping[str, Any]] = field(default=_nothing_stored, repr=False, compare=False)


Steer = Callable[[SearchRequest], Steering]


def unsteered(_request: SearchRequest) -> Steering:
    """Steer nothing."""
    return NOT_STEERED


class Stage(Protocol):
    """One step of ordering.  `name` is what the setting calls it."""

    @property
    def name(self) -> str:
        """The name in `CASEBOOK_SEARCH_STAGES`."""

    def order(self, candidates: Sequence[Candidate], request: SearchRequest) -> Sequence[Candidate]:
        """Return the same candidates in the order they shall be shown; best first in both."""


class StageError(ValueError):
    """A stage lost, doubled or invented a document, or is not known."""


class Priors:
    """Lifts what is used, helpful and fresh: by at most `MOST_LIFT` of the score, so it never outranks better text."""

    name = "priors"

    def order(self, candidates: Sequence[Candidate], request: SearchRequest) -> Sequence[Candidate]:
        """Return the candidates by score and lift; equals keep their order."""
        return sorted(candidates, key=lambda c: -c.score * (1 + MOST_LIFT * prior(c, request.now)))


class Pins:
    """Puts what an editor pinned to a query first."""

    name = "pins"

    def order(self, candidates: Sequence[Candidate], request: SearchRequest) -> Sequence[Candidate]:
        """Return pinned candidates as they were pinned, then the others as they came, whatever was asked."""
        del request
        return sorted(candidates, key=lambda c: not c.is_pinned)


def prior(candidate: Candidate, now: datetime) -> float:
    """Return from 0 to 1 how much speaks for a document whatever was asked."""
    use = min(1.0, math.log1p(max(0.0, candidate.popularity)) / math.log1p(USED_OFTEN))
    freshness = 0.0
    if candidate.updated_at is not None:
        age_days = max(0.0, (now - candidate.updated_at).total_seconds() / 86_400)
        freshness = 0.5 ** (age_days / HALF_LIFE_DAYS)
    return USE_SHARE * use + HELPFULNESS_SHARE * candidate.helpfulness + FRESHNESS_SHARE * freshness


STAGES: Mapping[str, Callable[[], Stage]] = {Priors.name: Priors, Pins.name: Pins}
"""The stages that a setting can name; a further one is a further entry."""


def make_stages(names: Iterable[str]) -> tuple[Stage, ...]:
    """Make the named stages, in this order.

    Raises:
        StageError: a name is not known.
    """
    chosen = tuple(names)
    for name in chosen:
        if name not in STAGES:
            raise StageError(f"{name!r} is no stage of the ranking. The stages are {', '.join(STAGES)}.")
    return tuple(STAGES[name]() for name in chosen)


def arrange(stages: Iterable[Stage], candidates: Sequence[Candidate], request: SearchRequest) -> Sequence[Candidate]:
    """Send the candidates through the stages.

    Raises:
        StageError: a stage gave back other documents than it was given.
    """
    for stage in stages:
        ordered = stage.order(candidates, request)
        if Counter(c.id for c in ordered) != Counter(c.id for c in candidates):
            raise StageError(f"The stage {stage.name!r} may only change the order, but it changed what was found.")
        candidates = ordered
    return candidates


@dataclass(frozen=True, slots=True)
class Window:
    """Which ranks an engine looks up for one page: `size` from `offset` on; `is_arranged` when stages follow."""

    offset: int
    size: int
    is_arranged: bool


@dataclass(frozen=True, slots=True)
class SecondStage:
    """The stages in force and what tells them how editors steer; an engine holds one."""

    stages: tuple[Stage, ...] = field(default_factory=lambda: make_stages(STAGES))
    steer: Steer = unsteered

    def steering_of(self, request: SearchRequest) -> Steering:
        """Return what editors decided for a request; nothing where no stage pins or no words were typed."""
        if not request.text or all(stage.name != Pins.name for stage in self.stages):
            return NOT_STEERED
        if request.guidance is not None:
            return request.guidance.steering_of(request.query, with_hides=request.with_hides)
        return self.steer(request)

    def window_of(self, request: SearchRequest, pinned: int = 0) -> Window:
        """Return the ranks to look up for a page, when `pinned` documents stand before all that the words find."""
        if not self.stages or request.effective_sort != "relevance":
            return Window(request.offset, request.size, is_arranged=False)
        if request.offset >= FIRST:
            return Window(request.offset - pinned, request.size, is_arranged=False)
        return Window(0, max(FIRST, request.offset + request.size), is_arranged=True)


def page_of(
    stages: Iterable[Stage],
    window: Window,
    pinned: Sequence[Candidate],
    found: Sequence[Candidate],
    request: SearchRequest,
) -> Sequence[Candidate]:
    """Return the page's candidates: arranged when the page begins within the first, else as the engine found them."""
    if not window.is_arranged:
        return found
    together = [*pinned, *found]
    arranged = [*arrange(stages, together[:FIRST], request), *together[FIRST:]]
    return arranged[request.offset : request.offset + request.size]
