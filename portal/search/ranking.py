"""How hits are ranked: one plan from one set of weights, which each engine only translates.

The weights were measured on four open collections with judged questions (`tests/benchmarks/relevance.py`): people's
questions lose most when function words score, Chinese gains from single characters beside pairs, names of two Latin
words gain from standing together, and a title that weighs more than half the text wins by itself where it should not.
Scores of all clauses add up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from portal.search import analysis
from portal.search.query import Query


class Field(StrEnum):
    """The searched fields, alike in both engines.  Each holds terms of its own kind; see `portal.search.analysis`."""

    ALL = "all"
    TITLE = "title"
    LEAD = "lead"
    WORDS = "words"
    CHARACTERS = "characters"
    TITLE_CHARACTERS = "title_characters"
    CODES = "codes"
    INTERNAL = "internal"
    PINYIN = "pinyin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each clause counts; `weak` is the share of words that tell little apart."""

    all: float = 0.8
    title: float = 0.5
    lead: float = 0.3
    words: float = 0.5
    characters: float = 0.6
    title_characters: float = 0.5
    pairs: float = 0.4
    codes: float = 1.0
    pinyin: float = 1.0
    joined: float = 0.5
    synonyms: float = 0.3
    internal: float = 0.8
    weak: float = 0.5


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Terms sought in one field: each for itself, or (`is_phrase`) next to one another in this order.

    `is_prefix` seeks values that begin with the one term, whatever it weighs the same for each.
    """

    field: Field
    terms: tuple[str, ...]
    weight: float = 1.0
    is_phrase: bool = False
    is_prefix: bool = False


def labels_of(clause: Clause) -> tuple[str, ...]:
    """Return what a clause seeks, as reasons name it: the terms one by one, or the phrase."""
    return (" ".join(clause.terms),) if clause.is_phrase else clause.terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an engine looks for.

    A hit matches one of `matching` (when there are any), one clause of every group in `required`, and none of
    `excluded`.  `matching`, `scoring` and `refining` add to its score; an engine for which every clause is dear may
    look at `refining` for its best hits alone.
    """

    matching: tuple[Clause, ...] = ()
    scoring: tuple[Clause, ...] = ()
    refining: tuple[Clause, ...] = ()
    required: tuple[tuple[Clause, ...], ...] = ()
    excluded: tuple[Clause, ...] = ()
    finds_nothing: bool = False

    @property
    def unrefined(self) -> "Plan":
        """What scores a document that is not among the best."""
        return replace(self, refining=())

    @property
    def unscored(self) -> "Plan":
        """What matches, without what only adds to its score."""
        return replace(self, scoring=(), refining=())


@dataclass(frozen=True, slots=True)
class OneWay:
    """Whoever asks for `words` also finds `others`, and not the other way round."""

    words: str
    others: tuple[str, ...]


Synonyms = Sequence[tuple[str, ...] | OneWay]
"""Groups of words that mean the same, and one-way rules."""


@lru_cache(maxsize=1)
def default_synonyms() -> Synonyms:
    """Return the groups of the list that comes with the product; one group a line, words separated by commas."""
    lines = (analysis.TABLES / "synonyms.txt").read_text(encoding="utf-8").splitlines()
    return read_synonyms(lines)


def read_synonyms(lines: Iterable[str]) -> Synonyms:
    """Read groups of words of one meaning; empty lines and lines that begin with # are left out."""
    groups = []
    for line in lines:
        if line.startswith("#"):
            continue
        group = tuple(word for part in line.split(",") if (word := part.strip()))
        if len(group) > 1:
            groups.append(group)
    return tuple(groups)


def build_plan(
    query: Query, *, is_staff: bool, synonyms: Synonyms = (), weights: Weights = WEIGHTS, is_loose: bool = False
) -> Plan:
    """Turn a query into what is sought where.  Internal text is in the plan of staff alone.

    A loose plan is for words that match nothing: it also matches single Chinese characters, and titles by pinyin.
    """
    if not query.ranks and query.text and query.is_empty:
        return Plan(finds_nothing=True)
    matching: list[Clause] = []
    scoring: list[Clause] = []
    refining: list[Clause] = []

    def add(into: list[Clause], field: Field, terms: Iterable[str], weight: float) -> None:
        found = tuple(terms)
        strong = tuple(term for term in found if term not in query.weak)
        weak = tuple(term for term in found if term in query.weak)
        for some, share in ((strong, weight), (weak, weight * weights.weak)):
            if share and some:
                into.append(Clause(field=field, terms=some, weight=share))

    singles = query.characters
    if not is_loose:
        singles = tuple(term for term in query.terms if len(term) == 1 and term in query.characters)
    add(matching, Field.ALL, query.terms, weights.all)
    add(matching, Field.CHARACTERS, singles, weights.characters)
    add(matching, Field.CODES, query.codes, weights.codes)
    add(matching, Field.ALL, (term for term in query.joined if term not in query.terms), weights.joined)
    if is_loose and query.pinyin:
        matching.append(Clause(field=Field.PINYIN, terms=(query.pinyin,), weight=weights.pinyin, is_prefix=True))
    matching.extend(_synonym_clauses(query, synonyms, weights.synonyms))
    if is_staff:
        add(matching, Field.INTERNAL, query.terms, weights.internal)
    if matching:
        add(scoring, Field.TITLE, query.terms, weights.title)
        add(refining, Field.LEAD, query.terms, weights.lead)
        add(refining, Field.WORDS, query.words, weights.words)
        add(scoring, Field.CHARACTERS, (c for c in query.characters if c not in singles), weights.characters)
        add(scoring, Field.TITLE_CHARACTERS, query.characters, weights.title_characters)
        refining += [Clause(field=Field.ALL, terms=p, weight=weights.pairs, is_phrase=True) for p in query.pairs]
    return Plan(
        matching=tuple(matching),
        scoring=tuple(scoring),
        refining=tuple(refining),
        required=tuple(_exact_clauses(phrase, is_staff=is_staff) for phrase in query.phrases),
        excluded=tuple(c for negation in query.negations for c in _exact_clauses(negation, is_staff=is_staff)),
    )


def _exact_clauses(terms: tuple[str, ...], *, is_staff: bool) -> tuple[Clause, ...]:
    """Return the places in which these terms may stand together; weightless, for matching alone."""
    is_phrase = len(terms) > 1
    if not is_phrase and len(terms[0]) == 1 and analysis.characters_of(terms[0]):
        # One Chinese character stands in no pair by itself, only among the characters.
        clauses = [Clause(field=Field.CHARACTERS, terms=terms, weight=0.0)]
    else:
        clauses = [Clause(field=Field.ALL, terms=terms, weight=0.0, is_phrase=is_phrase)]
    if is_staff:
        clauses.append(Clause(field=Field.INTERNAL, terms=terms, weight=0.0, is_phrase=is_phrase))
    return tuple(clauses)


@lru_cache(maxsize=4)
def _by_first_term(synonyms: Synonyms) -> dict[str, list[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]]]:
    """Return, for each first term of a synonym, its terms and what stands for it."""
    found: dict[str, list[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]]] = {}
    for group in synonyms:
        words = (group.words, *group.others) if isinstance(group, OneWay) else group
        analysed = [terms for terms in (tuple(analysis.terms(word)) for word in words) if terms]
        if isinstance(group, OneWay):
            asked = tuple(analysis.terms(group.words))
            leading = [asked] if asked else []
        else:
            leading = analysed
        for terms in leading:
            others = tuple(other for other in dict.fromkeys(analysed) if other != terms)
            if others:
                found.setdefault(terms[0], []).append((terms, others))
    return found


def _synonym_clauses(query: Query, synonyms: Synonyms, weight: float) -> list[Clause]:
    if not synonyms:
        return []
    table = _by_first_term(tuple(synonyms))
    sequence = query.sequence
    single: dict[str, None] = {}
    phrases: dict[tuple[str, ...], None] = {}
    for at, term in enumerate(sequence):
        for terms, others in table.get(term, ()):
            if sequence[at : at + len(terms)] != terms:
                continue
            for other in others:
                if len(other) > 1:
                    phrases[other] = None
                elif other[0] not in query.terms:
                    single[other[0]] = None
    clauses = [Clause(field=Field.ALL, terms=phrase, weight=weight, is_phrase=True) for phrase in phrases]
    if single:
        clauses.append(Clause(field=Field.ALL, terms=tuple(single), weight=weight))
    return clauses
