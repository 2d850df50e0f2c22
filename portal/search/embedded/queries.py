"""Queries of the embedded engine, built from analysed terms; what people type never reaches a query parser."""

from collections.abc import Iterable

import tantivy
from tantivy import Occur, Query

from portal.access import Viewer
from portal.search import stored
from portal.search.embedded.schema import title_starts
from portal.search.ranking import Clause, Field, Plan
from portal.search.suggestions import PINNED, Typed


def has_term(schema: tantivy.Schema, name: str, value: str) -> Query:
    """Match documents with a term in a field."""
    return Query.term_query(schema, name, value)


def has_key(schema: tantivy.Schema, key: int) -> Query:
    """Match the document of a key."""
    return Query.term_query(schema, "key", key, "basic")


def has_any(schema: tantivy.Schema, name: str, values: Iterable[str]) -> Query:
    """Match documents with one of several keywords in a field, cut as they were when they were written."""
    wanted = [value[: stored.LONGEST_KEYWORD] for value in values]
    return has_term(schema, name, wanted[0]) if len(wanted) == 1 else Query.term_set_query(schema, name, wanted)


def silent(query: Query) -> Query:
    """Let a query select without adding to the score."""
    return Query.const_score_query(query, 0.0)


def rights_of(schema: tantivy.Schema, viewer: Viewer) -> Query:
    """Return what every query begins with; a viewer without tokens finds nothing, and nobody finds a tombstone."""
    if not viewer.tokens:
        return Query.empty_query()
    return silent(has_any(schema, "readers", sorted(viewer.tokens)))


def prefix_pattern(text: str) -> str:
    """Return the pattern of terms that begin with a text; nothing in the text means anything."""
    escaped = "".join(ch if ch.isalnum() or ch == " " or not ch.isascii() else f"\\{ch}" for ch in text)
    return f"{escaped}.*"


def title_parts(schema: tantivy.Schema, typed: Typed) -> list[tuple[Occur, Query]]:
    """Return what finds titles by what is typed so far: their start, their words, their pinyin, or a pin."""
    ways: list[tuple[Occur, Query]] = []
    if typed.steering.pinned:
        ways.append((Occur.Should, Query.const_score_query(has_any(schema, "id", typed.steering.pinned), PINNED)))
    if typed.words or typed.prefix:
        together = [(Occur.Must, has_term(schema, "title_words", word)) for word in typed.words]
        if typed.prefix:
            together.append((Occur.Must, Query.regex_query(schema, "title_words", prefix_pattern(typed.prefix))))
        ways.append((Occur.Should, Query.const_score_query(Query.boolean_query(together), 1.0)))
    # The longest start that is a term; those that go on otherwise than typed are ordered behind.
    start = has_term(schema, "title_start", title_starts(typed.start)[-1])
    ways.append((Occur.Should, Query.const_score_query(start, 4.0)))
    if typed.pinyin:
        # A word with no letter wrong, and any end: made ready many times as fast as a pattern.
        pinyin = Query.fuzzy_term_query(schema, "pinyin", typed.pinyin, distance=0, prefix=True)
        ways.append((Occur.Should, Query.const_score_query(pinyin, 0.5)))
    parts = [(Occur.Must, Query.boolean_query(ways))]
    if typed.steering.hidden:
        parts.append((Occur.MustNot, has_any(schema, "id", typed.steering.hidden)))
    return parts


def clause_parts(schema: tantivy.Schema, clause: Clause) -> list[tuple[Occur, Query]]:
    """Return the parts of a Boolean query that a clause of the plan becomes."""
    if clause.is_prefix:
        pattern = Query.regex_query(schema, clause.field.value, prefix_pattern(clause.terms[0]))
        parts = [Query.const_score_query(pattern, 1.0)]
    elif clause.is_phrase:
        parts = [Query.phrase_query(schema, clause.field.value, list(clause.terms))]
    else:
        option = "basic" if clause.field == Field.CODES else "freq"
        parts = [Query.term_query(schema, clause.field.value, term, option) for term in clause.terms]
    if clause.weight != 1.0:
        parts = [silent(p) if clause.weight == 0 else Query.boost_query(p, clause.weight) for p in parts]
    return [(Occur.Should, part) for part in parts]


def any_of(schema: tantivy.Schema, clauses: Iterable[Clause]) -> Query:
    """Match what one of the clauses matches; their scores add up."""
    return Query.boolean_query([part for clause in clauses for part in clause_parts(schema, clause)])


def plan_parts(schema: tantivy.Schema, plan: Plan) -> list[tuple[Occur, Query]]:
    """Return the parts of a Boolean query that a whole plan becomes."""
    if plan.finds_nothing:
        return [(Occur.Must, Query.empty_query())]
    parts: list[tuple[Occur, Query]] = []
    if plan.matching:
        parts.append((Occur.Must, any_of(schema, plan.matching)))
    for clause in (*plan.scoring, *plan.refining):
        parts += clause_parts(schema, clause)
    parts += [(Occur.Must, silent(any_of(schema, group))) for group in plan.required]
    parts += [(Occur.MustNot, query) for clause in plan.excluded for _, query in clause_parts(schema, clause)]
    return parts


def count_hits(searcher: tantivy.Searcher, query: Query) -> int:
    """Return how many documents a query matches."""
    return total_of(searcher.search(query, 1, count=True))


def total_of(found: tantivy.SearchResult) -> int:
    """Return how many documents a search matched."""
    # The library's own annotations forget this attribute.
    return int(found.count)  # type: ignore[attr-defined]
