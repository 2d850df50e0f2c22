"""How much a word tells apart, reckoned over what everybody of a reader's kind may read.

Engines reckon it over their whole index.  With a request or two of their own to compare, readers could tell from the
order of hits which words stand in documents that they may not read.  So the plans of readers outside the staff are
weighed anew: an engine multiplies each term with its rarity in the whole index, the plan divides by that and multiplies
with the rarity among the open documents.

Rarity is BM25's inverse document frequency, ln(1 + (N - n + 0.5) / (n + 0.5)), as Lucene and tantivy compute it.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import log1p

from portal.access import CUSTOMERS, PUBLIC, Viewer
from portal.search.ranking import Clause, Field, Plan

OPEN = frozenset({PUBLIC, CUSTOMERS})
"""What opens a document to everybody of a kind."""
KEPT_S = 60.0
MOST_KEPT = 20_000

Term = tuple[Field, str]


@dataclass(frozen=True, slots=True)
class Spread:
    """In how many documents of how many a term stands: in the index as the engine counts it, and in the open ones."""

    documents: int
    of: int
    open_documents: int
    of_open: int

    @property
    def rarity(self) -> float:
        """What the engine multiplies with."""
        return _rarity(self.documents, self.of)

    @property
    def open_rarity(self) -> float:
        """What it would multiply with if it held the open documents alone."""
        return _rarity(self.open_documents, self.of_open)


Count = Callable[[Collection[str], Collection[Term]], Mapping[Term, Spread]]
"""Asks an engine for the spread of terms, given the tokens that open documents."""


class Rarities:
    """Weighs plans anew, and remembers for a minute how terms are spread.  Safe for threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[frozenset[str], Term], tuple[float, Spread]] = {}

    def weigh(self, plan: Plan, viewer: Viewer, count: Count) -> Plan:
        """Return the plan as this viewer's hits are ranked by it; that of staff stays as it is."""
        tokens = viewer.tokens & OPEN
        if viewer.is_staff or not tokens:
            return plan
        wanted = dict.fromkeys(
            (clause.field, term)
            for clause in (*plan.matching, *plan.scoring, *plan.refining)
            if _is_weighed(clause)
            for term in clause.terms
        )
        if not wanted:
            return plan
        spread = self._spread(tokens, wanted, count)
        return replace(
            plan,
            matching=tuple(_weighed(plan.matching, spread)),
            scoring=tuple(_weighed(plan.scoring, spread)),
            refining=tuple(_weighed(plan.refining, spread)),
        )

    def _spread(self, tokens: frozenset[str], wanted: Collection[Term], count: Count) -> Mapping[Term, Spread]:
        at = time.monotonic()
        found, new = {}, []
        for term in wanted:
            kept = self._kept.get((tokens, term))
            if kept is not None and at - kept[0] < KEPT_S:
                found[term] = kept[1]
            else:
                new.append(term)
        if new:
            counted = count(sorted(tokens), new)
            if len(self._kept) + len(counted) > MOST_KEPT:
                self._kept = {}
            self._kept.update({(tokens, term): (at, spread) for term, spread in counted.items()})
            found.update(counted)
        return found


def _rarity(documents: int, of: int) -> float:
    return log1p((max(of, documents) - documents + 0.5) / (documents + 0.5))


def _is_weighed(clause: Clause) -> bool:
    return bool(clause.weight) and not clause.is_prefix


def _weighed(clauses: Collection[Clause], spread: Mapping[Term, Spread]) -> Iterator[Clause]:
    """Yield clauses anew: a phrase counts as the sum of its terms, any other term has its own weight."""
    for clause in clauses:
        if not _is_weighed(clause):
            yield clause
            continue
        groups = [clause.terms] if clause.is_phrase else [(term,) for term in clause.terms]
        for terms in groups:
            spreads = [spread[clause.field, term] for term in terms]
            factor = sum(one.open_rarity for one in spreads) / sum(one.rarity for one in spreads)
            yield replace(clause, terms=terms, weight=clause.weight * factor)
