"""What people put upon the ranking: weights, synonyms, pins and hides, as all searches of one moment use them.

Engines ask for the guidance at every query, and build what it says into the query itself: a hide leaves its document
out of hits, totals and facets alike, and a pin adds its document under the viewer's rights like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from portal.search.query import Query, parse
from portal.search.ranking import WEIGHTS, Plan, Synonyms, Weights, build_plan, default_synonyms

MOST_PINNED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pin or a hide.

    It acts on queries whose content words are its own (`is_exact`), or are among others its own.  `position` orders
    the pins of one query.
    """

    id: int
    is_pin: bool
    words: str
    document_id: str
    is_exact: bool = True
    position: int = 1
    owner: str = ""
    reason: str = ""

    @property
    def terms(self) -> frozenset[str]:
        """The terms of its words, without function words."""
        return terms_of(self.words)

    def acts_on(self, query: Query) -> bool:
        """Say whether the rule is meant for this query.

        Whoever puts words in quotes or leaves some out means exactly that, and no pin knows better.
        """
        if self.is_pin and (query.phrases or query.negations):
            return False
        terms = self.terms
        return bool(terms) and (terms == set(query.terms) if self.is_exact else terms.issubset(query.terms))


@lru_cache(maxsize=4096)
def terms_of(words: str) -> frozenset[str]:
    """Return what a rule's words are compared by; spelling, order and function words make no difference."""
    return frozenset(parse(words).terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What editors decided for a query: these documents first, in this order, and those not at all; by which rules."""

    pinned: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


NOT_STEERED = Steering()


@dataclass(frozen=True, kw_only=True, eq=False)
class Guidance:
    """All that guides the searches of one moment.  Frozen: make another with `dataclasses.replace`."""

    synonyms: Synonyms = ()
    weights: Weights = WEIGHTS
    rules: tuple[Rule, ...] = ()
    _by_term: Mapping[str, tuple[Rule, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[str, tuple[Rule, ...]] = {}
        for rule in self.rules:
            if terms := rule.terms:
                # Any one of its terms does: a query that lacks it is none that the rule is meant for.
                key = min(terms)
                found[key] = (*found.get(key, ()), rule)
        object.__setattr__(self, "_by_term", found)

    def plan(self, query: Query, *, is_staff: bool, is_loose: bool = False) -> Plan:
        """Return what an engine looks for."""
        return build_plan(query, is_staff=is_staff, synonyms=self.synonyms, weights=self.weights, is_loose=is_loose)

    def steering_of(self, query: Query, *, with_hides: bool = True) -> Steering:
        """Return the documents that a query's rules put first or keep out; a hide is stronger than a pin."""
        acting = [rule for term in query.terms for rule in self._by_term.get(term, ()) if rule.acts_on(query)]
        if not acting:
            return NOT_STEERED
        acting.sort(key=lambda rule: (not rule.is_pin, rule.position, rule.id))
        hidden = dict.fromkeys(rule.document_id for rule in acting if not rule.is_pin)
        pinned = dict.fromkeys(rule.document_id for rule in acting if rule.is_pin and rule.document_id not in hidden)
        return Steering(
            pinned=tuple(pinned)[:MOST_PINNED], hidden=tuple(hidden) if with_hides else (), rules=tuple(acting)
        )


@lru_cache(maxsize=1)
def default_guidance() -> Guidance:
    """Return what guides a search when nobody put anything upon it: the product's own weights and synonyms."""
    return Guidance(synonyms=default_synonyms())
