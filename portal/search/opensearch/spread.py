"""How OpenSearch is asked for the spread of terms: what a score counts, and what stands in open documents."""

from collections.abc import Collection, Mapping

from portal.search.opensearch.queries import NAMES, Json, opened_by
from portal.search.ranking import Field
from portal.search.rarity import Spread, Term


def vectors_body(terms: Collection[Term]) -> Json:
    """Return the request for what scores of these terms count: of a made-up document that holds them."""
    texts: dict[str, list[str]] = {}
    for field, term in terms:
        texts.setdefault(NAMES[field].partition(".")[0], []).append(term)
    fields = _names(terms)
    return {
        "doc": {name: " ".join(dict.fromkeys(found)) for name, found in texts.items()},
        "fields": fields,
        "per_field_analyzer": dict.fromkeys(fields, "whitespace"),
        "term_statistics": True,
        "field_statistics": True,
        "positions": False,
        "offsets": False,
        "payloads": False,
    }


def open_body(tokens: Collection[str], terms: Collection[Term]) -> Json:
    """Return the request that counts, among the documents that these tokens open, those with each field and term."""
    fields: dict[str, Json] = {name: {"exists": {"field": name}} for name in _names(terms)}
    wanted: dict[str, Json] = {_key(term): {"term": {NAMES[term[0]]: term[1]}} for term in terms}
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": opened_by(tokens)}},
        "aggs": {"fields": {"filters": {"filters": fields}}, "terms": {"filters": {"filters": wanted}}},
    }


def read_vectors(terms: Collection[Term], answer: Json) -> Mapping[Term, Spread]:
    """Read the answer to `vectors_body`."""
    found = {}
    for field, term in terms:
        vector = answer["term_vectors"].get(NAMES[field], {})
        found[field, term] = Spread(
            vector.get("terms", {}).get(term, {}).get("doc_freq", 0),
            vector.get("field_statistics", {}).get("doc_count", 0),
        )
    return found


def read_open(terms: Collection[Term], answer: Json) -> Mapping[Term, Spread]:
    """Read the answer to `open_body`."""
    of = answer["aggregations"]["fields"]["buckets"]
    documents = answer["aggregations"]["terms"]["buckets"]
    return {term: Spread(documents[_key(term)]["doc_count"], of[NAMES[term[0]]]["doc_count"]) for term in terms}


def _names(terms: Collection[Term]) -> list[str]:
    return [NAMES[field] for field in dict.fromkeys(field for field, _ in terms)]


def _key(term: tuple[Field, str]) -> str:
    return " ".join(term)
