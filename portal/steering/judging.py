"""What the judging page asks: the hits of two configurations, mixed so that nothing tells which gave which."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from portal.extensions import db
from portal.search import evaluation
from portal.search.answer import first_hits
from portal.search.engine import SearchEngine
from portal.search.models import SearchLog
from portal.search.results import Hit
from portal.steering import in_force, judgements, measurements
from portal.steering.models import Configuration, JudgedQuery, JudgedSet, Judgement
from portal.steering.previews import viewer_like

SUGGESTED = 8
LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class Side:
    """One configuration's hits with their grades, and how good the order is by what is judged."""

    ranked: Sequence[tuple[Hit, int]]
    ndcg: float


@dataclass(frozen=True, slots=True)
class Sides:
    """The hits of two configurations, best first."""

    one: Sequence[Hit]
    other: Sequence[Hit]

    def scored(self, grades: Mapping[str, int], *, has_source: bool) -> "ScoredSides":
        """Return both sides with their grades."""
        return ScoredSides(
            self.one, self.other, *(_scored(side, grades, has_source=has_source) for side in (self.one, self.other))
        )


@dataclass(frozen=True, slots=True)
class ScoredSides(Sides):
    """Both sides once all hits are judged."""

    first: Side
    second: Side


def _scored(hits: Sequence[Hit], grades: Mapping[str, int], *, has_source: bool) -> Side:
    names = [judgements.name_of(hit, grades, has_source=has_source) for hit in hits]
    ranked = [(hit, grades.get(name, 0)) for hit, name in zip(hits, names, strict=True)]
    return Side(ranked, evaluation.ndcg(names, grades))


def run(engine: SearchEngine, query: JudgedQuery, one: Configuration | None, other: Configuration | None) -> Sides:
    """Search with both configurations, through the eyes that the set is about.

    Raises:
        EngineError: the engine cannot answer.
    """
    viewer, filters = viewer_like(query.judged_set.viewer_kind), measurements.source_filter(query.judged_set)
    found = [
        first_hits(engine, viewer, query.text, filters=filters, guidance=in_force.read_with(side), with_highlights=True)
        for side in (one, other)
    ]
    return Sides(found[0], found[1])


def interleave(sides: Sides, seed: bytes) -> list[Hit]:
    """Return the hits of both, each once, drawn in turns; the seed says who draws first in each round.

    Balanced like the drafting of two teams: neither side's order shows, and the best of both come early.
    """
    rounds = hashlib.shake_128(seed).digest(max(len(sides.one), len(sides.other), 1))
    drawn: dict[str, Hit] = {}
    for at, coin in enumerate(rounds):
        pair = [side[at] for side in (sides.one, sides.other) if at < len(side)]
        for hit in reversed(pair) if coin % 2 else pair:
            drawn.setdefault(hit.id, hit)
    return list(drawn.values())


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A hit of one list: the name it is judged under, and its place in the list before if it stands there, too."""

    hit: Hit
    name: str
    twin: int = 0


@dataclass(frozen=True, slots=True)
class ShownList:
    """One of two lists side by side, under its letter."""

    letter: str
    configuration: str
    """one or other"""
    hits: Sequence[ShownHit]


def show_lists(sides: Sides, grades: Mapping[str, int], *, has_source: bool, is_swapped: bool) -> list[ShownList]:
    """Return both lists as A and B; a hit of both is judged in the first."""
    named = [("one", sides.one), ("other", sides.other)]
    places: dict[str, int] = {}
    lists = []
    for letter, (configuration, hits) in zip("ab", named[::-1] if is_swapped else named, strict=True):
        names = [judgements.name_of(hit, grades, has_source=has_source) for hit in hits]
        shown = [ShownHit(hit, name, places.get(hit.id, 0)) for hit, name in zip(hits, names, strict=True)]
        lists.append(ShownList(letter, configuration, shown))
        places = {hit.id: place for place, hit in enumerate(hits, start=1)}
    return lists


@dataclass(frozen=True, slots=True)
class Progress:
    """A query and how far it is judged."""

    query: JudgedQuery
    judged: int
    relevant: int


def load_progress(judged_set: JudgedSet, *, most: int) -> list[Progress]:
    """Return a set's queries, those least judged first."""
    judged, relevant = func.count(Judgement.id), func.count(Judgement.id).filter(Judgement.grade > 0)
    rows = db.session.execute(
        select(JudgedQuery, judged, relevant)
        .outerjoin(Judgement)
        .where(JudgedQuery.set_id == judged_set.id)
        .group_by(JudgedQuery.id)
        .order_by(judged, JudgedQuery.id)
        .limit(most)
    )
    return [Progress(row[0], row[1], row[2]) for row in rows]


def find_next(query: JudgedQuery) -> JudgedQuery | None:
    """Return the query of the same set that is judged least; None when it has no other."""
    judged = func.count(Judgement.id)
    return db.session.scalars(
        select(JudgedQuery)
        .outerjoin(Judgement)
        .where(JudgedQuery.set_id == query.set_id, JudgedQuery.id != query.id)
        .group_by(JudgedQuery.id)
        .order_by(judged, JudgedQuery.id)
        .limit(1)
    ).first()


def find_challenger() -> Configuration | None:
    """Return the newest configuration that is not in use; None stands for the product's own weights."""
    wanted = select(Configuration).where(Configuration.is_active.is_(False))
    return db.session.scalars(wanted.order_by(Configuration.id.desc()).limit(1)).first()


def suggest_queries(judged_set: JudgedSet) -> list[str]:
    """Return what people of the set's kind searched most often lately and the set does not have."""
    latest = (
        select(SearchLog.words)
        .where(SearchLog.viewer_kind == judged_set.viewer_kind, SearchLog.total > 0)
        .order_by(SearchLog.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    there = select(JudgedQuery.text).where(JudgedQuery.set_id == judged_set.id)
    counted = func.count()
    return list(
        db.session.scalars(
            select(latest.c.words)
            .where(latest.c.words.not_in(there))
            .group_by(latest.c.words)
            .order_by(counted.desc(), latest.c.words)
            .limit(SUGGESTED)
        )
    )
