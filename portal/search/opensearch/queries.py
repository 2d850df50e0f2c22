"""Queries of OpenSearch, built from analysed terms; what people type never reaches a query parser."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from portal.access import Viewer
from portal.search.ranking import Clause, Field, Plan, labels_of
from portal.search.suggestions import PINNED, Typed

Json = dict[str, Any]

NAMES: Mapping[Field, str] = {
    Field.ALL: "all",
    Field.TITLE: "searched_title",
    Field.LEAD: "first_lines",
    Field.WORDS: "all.words",
    Field.CHARACTERS: "all.characters",
    Field.TITLE_CHARACTERS: "searched_title.characters",
    Field.CODES: "codes",
    Field.INTERNAL: "internal",
    Field.PINYIN: "pinyin",
}


def rights_of(viewer: Viewer) -> list[Json]:
    """Return what every query begins with.  An empty list of tokens matches nothing."""
    return opened_by(viewer.tokens)


def opened_by(tokens: Iterable[str]) -> list[Json]:
    """Match the documents that one of these tokens opens; nobody finds a tombstone."""
    return [{"terms": {"readers": sorted(tokens)}}, {"term": {"gone": False}}]


def constant(query: Json, score: float) -> Json:
    """Match with a fixed score."""
    return {"constant_score": {"filter": query, "boost": score}}


def has_ids(ids: Iterable[str]) -> Json:
    """Match the documents of these ids; none where there are none."""
    return {"ids": {"values": list(ids)}}


def any_query(ways: list[Json]) -> Json:
    """Match what one of several queries matches."""
    return {"bool": {"should": ways, "minimum_should_match": 1}}


def clause_query(clause: Clause) -> Json:
    """Return the query that a clause of the plan becomes."""
    name = NAMES[clause.field]
    if clause.is_prefix:
        return constant({"prefix": {name: {"value": clause.terms[0]}}}, clause.weight)
    if clause.weight == 0 and not clause.is_phrase:
        return {"terms": {name: list(clause.terms)}}
    # The terms are analysed already; the search analyzer only takes them apart at the spaces.
    words: Json = {"query": " ".join(clause.terms), "analyzer": "whitespace", "boost": clause.weight}
    if clause.is_phrase:
        return {"match_phrase": {name: words}}
    return {"match": {name: words}}


def planned_query(plan: Plan, viewer: Viewer, *, is_named: bool = False) -> Json:
    """Return the query of a whole plan within the viewer's rights; named, it tells what each field added."""
    filters = rights_of(viewer)
    if plan.finds_nothing:
        filters.append({"match_none": {}})
    filters += [
        {"bool": {"should": [clause_query(c) for c in group], "minimum_should_match": 1}} for group in plan.required
    ]
    matching = named_queries(plan.matching, "matching") if is_named else [clause_query(c) for c in plan.matching]
    added = (*plan.scoring, *plan.refining)
    scoring = named_queries(added, "scoring") if is_named else [clause_query(c) for c in added]
    parts: Json = {"filter": filters, "must_not": [clause_query(c) for c in plan.excluded], "should": scoring}
    if matching:
        parts["must"] = [{"bool": {"should": matching, "minimum_should_match": 1}}]
        parts["minimum_should_match"] = 0
    return {"bool": parts}


def named_queries(clauses: Iterable[Clause], group: str) -> list[Json]:
    """Return each term as a query under a name, of group, field and term, that the answer repeats with its score."""
    parts = []
    for number, clause in enumerate(clauses):
        for label in labels_of(clause):
            alone = clause if clause.is_phrase else replace(clause, terms=(label,))
            name = f"{group}{number} {clause.field.value} {label}"
            parts.append({"bool": {"should": [clause_query(alone)], "minimum_should_match": 1, "_name": name}})
    return parts


def title_query(viewer: Viewer, typed: Typed) -> Json:
    """Return what finds titles by what is typed so far: their start, their words, their pinyin, or a pin."""
    ways: list[Json] = [constant({"prefix": {"title_start": {"value": typed.start}}}, 4.0)]
    together: list[Json] = [{"term": {"title_words": word}} for word in typed.words]
    if typed.prefix:
        together.append({"prefix": {"title_words": {"value": typed.prefix}}})
    ways.append(constant({"bool": {"filter": together}}, 1.0))
    if typed.pinyin:
        ways.append(constant({"prefix": {"pinyin": {"value": typed.pinyin}}}, 0.5))
    if typed.steering.pinned:
        ways.append(constant(has_ids(typed.steering.pinned), PINNED))
    query = any_query(ways)
    query["bool"] |= {"filter": rights_of(viewer), "must_not": [has_ids(typed.steering.hidden)]}
    return query
