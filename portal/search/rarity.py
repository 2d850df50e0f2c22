"""How much a word tells apart, reckoned over what everybody of a reader's kind may read.

Engines reckon it over their whole index.  With a request or two of their own to compare, readers could tell from the
order of hits which words stand in documents that they may not read.  So the plans of readers outside the staff are
weighed anew: an engine multiplies each term with its rarity in the whole index, the plan divides by that and multiplies
with the rarity among the open documents.

Rarity is BM25's inverse document frequency, ln(1 + (N - n + 0.5) / (n + 0.5)), as Lucene and tantivy compute it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import log1p
from typing import Generic, Protocol, TypeVar

from portal.access import CUSTOMERS, PUBLIC, Viewer
from portal.search.ranking import Clause, Field, Plan

OPEN = frozenset({PUBLIC, CUSTOMERS})
"""What opens a document to everybody of a kind."""
OPEN_KEPT_S = 60.0
"""Open documents have no secrets: an older count costs a little of the ranking's precision and nothing else."""
MOST_KEPT = 20_000

Term = tuple[Field, str]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Spread:
    """In how many documents of how many a term stands."""

    documents: int
    of: int

    @property
    def rarity(self) -> float:
        """What BM25 multiplies with."""
        return log1p((max(self.of, self.documents) - self.documents + 0.5) / (self.documents + 0.5))


class Counts(Protocol):
    """What an engine tells of terms."""

    def in_index(self, terms: Collection[Term]) -> Mapping[Term, Spread]:
        """Return how its scores count them."""

    def in_open(self, tokens: Collection[str], terms: Collection[Term]) -> Mapping[Term, Spread]:
        """Return how they stand in the documents that these tokens open."""


class _Memory(Generic[Key]):
    """Keeps counts for a while."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._kept: dict[Key, tuple[float, Spread]] = {}

    def get(self, keys: Iterable[Key], count: Callable[[list[Key]], Mapping[Key, Spread]]) -> dict[Key, Spread]:
        """Return the counts of these keys; what is not kept, or no longer, is counted."""
        if not self._kept_s:
            return dict(count(list(keys)))
        at = time.monotonic()
        found: dict[Key, Spread] = {}
        new = []
        for key in keys:
            kept = self._kept.get(key)
            if kept is not None and at - kept[0] < self._kept_s:
                found[key] = kept[1]
            else:
                new.append(key)
        if new:
            counted = count(new)
            found.update(counted)
            if len(self._kept) + len(counted) > MOST_KEPT:
                self._kept = {}
            self._kept.update({key: (at, spread) for key, spread in counted.items()})
        return found


class Rarities:
    """Weighs plans anew, and remembers for a while how terms are spread.  Safe for threads."""

    def __init__(self, *, index_kept_s: float) -> None:
        """For `index_kept_s` seconds a change of hidden documents may still move hits."""
        self._in_index = _Memory[Term](index_kept_s)
        self._in_open = _Memory[tuple[frozenset[str], Term]](OPEN_KEPT_S)

    def weigh(self, plan: Plan, viewer: Viewer, counts: Counts) -> Plan:
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

        def count_open(keys: list[tuple[frozenset[str], Term]]) -> dict[tuple[frozenset[str], Term], Spread]:
            found = counts.in_open(sorted(tokens), [term for _, term in keys])
            return {(tokens, term): spread for term, spread in found.items()}

        # What the index does not hold scores nothing; of a pasted text that is most of it.
        in_index = {
            term: spread for term, spread in self._in_index.get(wanted, counts.in_index).items() if spread.documents
        }
        in_open = self._in_open.get(((tokens, term) for term in in_index), count_open)
        rarities = {term: (in_open[tokens, term].rarity, spread.rarity) for term, spread in in_index.items()}
        return replace(
            plan,
            matching=tuple(_weighed(plan.matching, rarities)),
            scoring=tuple(_weighed(plan.scoring, rarities)),
            refining=tuple(_weighed(plan.refining, rarities)),
        )


def _is_weighed(clause: Clause) -> bool:
    return bool(clause.weight) and not clause.is_prefix


def _weighed(clauses: Iterable[Clause], rarities: Mapping[Term, tuple[float, float]]) -> Iterator[Clause]:
    """Yield clauses anew: a phrase counts as the sum of its terms, any other term that is there has its own weight."""
    for clause in clauses:
        field, weight = clause.field, clause.weight
        there = [term for term in clause.terms if (field, term) in rarities]
        if not there or not _is_weighed(clause):
            yield clause
        elif clause.is_phrase:
            if len(there) == len(clause.terms):
                both = [rarities[field, term] for term in there]
                yield replace(clause, weight=weight * sum(one for one, _ in both) / sum(other for _, other in both))
            else:
                yield clause
        else:
            for term in there:
                of_open, of_index = rarities[field, term]
                yield Clause(field=field, terms=(term,), weight=weight * of_open / of_index)
            if len(there) < len(clause.terms):
                yield replace(clause, terms=tuple(term for term in clause.terms if (field, term) not in rarities))
