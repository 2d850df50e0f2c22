"""The JSON of search, in the shapes that callers rely on."""

from typing import Any

from marshmallow import Schema, fields

from portal.search.offers import Offers
from portal.search.results import Hit, SearchResult, Suggestion
from portal.search.why import Verdict


class HighlightsSchema(Schema):
    """Escaped HTML with `<mark>` around what matched."""

    title = fields.String()
    body = fields.List(fields.String())


class ReasonSchema(Schema):
    """One field's share of a hit's score."""

    field = fields.String()
    score = fields.Float()
    words = fields.List(fields.String(), metadata={"description": "The words found there, as the index knows them."})


class DifferenceSchema(Schema):
    """One field's share of two scores."""

    field = fields.String()
    own = fields.Float()
    other = fields.Float()
    gain = fields.Float()


class AheadSchema(Schema):
    """The hit that a document is compared with."""

    title = fields.String()
    rank = fields.Integer()
    score = fields.Float()


class WhySchema(Schema):
    """Why a document is not where somebody looks for it."""

    id = fields.String()
    title = fields.String()
    url = fields.String()
    verdict = fields.String(metadata={"enum": [verdict.value for verdict in Verdict]})
    sentence = fields.String()
    rank = fields.Integer(allow_none=True)
    page = fields.Integer(allow_none=True)
    score = fields.Float()
    saved_version = fields.Integer(allow_none=True)
    indexed_version = fields.Integer(allow_none=True)
    filters = fields.List(fields.String())
    missing_words = fields.List(fields.String())
    rule_id = fields.Integer(allow_none=True, metadata={"description": "The rule that hides or pins it."})
    pinned = fields.Boolean(metadata={"description": "A pin puts it there; the score is what it would be ranked by."})
    fields_ = fields.List(fields.Nested(ReasonSchema), data_key="fields", attribute="fields")
    ahead = fields.Nested(AheadSchema, allow_none=True)
    differences = fields.List(fields.Nested(DifferenceSchema))


class HitSchema(Schema):
    """One found document."""

    id = fields.String(metadata={"example": "article:17"})
    kind = fields.String()
    external_id = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    title = fields.String()
    url = fields.String()
    score = fields.Float()
    highlights = fields.Nested(HighlightsSchema)
    language = fields.String()
    status = fields.String()
    updated_at = fields.String(allow_none=True)
    why = fields.List(fields.Nested(ReasonSchema), metadata={"description": "Staff only, with explain=1."})
    pinned = fields.Boolean(
        metadata={"description": "Staff only: a pin puts it there; the score is what it would be ranked by."}
    )


class FacetValueSchema(Schema):
    """One value of a facet with its count for this caller."""

    value = fields.String()
    label = fields.String()
    count = fields.Integer()
    selected = fields.Boolean()


class SearchResultSchema(Schema):
    """The answer to a search."""

    query = fields.String()
    total = fields.Integer()
    total_is_exact = fields.Boolean()
    page = fields.Integer()
    size = fields.Integer()
    took_ms = fields.Float()
    degraded = fields.Boolean()
    engine = fields.String()
    did_you_mean = fields.String(allow_none=True)
    corrected_from = fields.String(allow_none=True)
    missing_words = fields.List(fields.String())
    hits = fields.List(fields.Nested(HitSchema))
    facets = fields.Dict(keys=fields.String(), values=fields.List(fields.Nested(FacetValueSchema)))


class SuggestionSchema(Schema):
    """A title offered while somebody types."""

    id = fields.String()
    kind = fields.String()
    title = fields.String()
    html = fields.String(metadata={"description": "The title, escaped, with `<mark>` around what was typed."})
    url = fields.String()


class OfferedSearchSchema(Schema):
    """Words that were searched before."""

    words = fields.String()
    html = fields.String(metadata={"description": "The words, escaped, with `<mark>` around what was typed."})
    url = fields.String()
    is_own = fields.Boolean(metadata={"description": "The caller searched them, and not only others."})


class PlaceSchema(Schema):
    """A topic's page."""

    name = fields.String()
    url = fields.String()


class SuggestionsSchema(Schema):
    """What is offered for the typed text."""

    query = fields.String()
    degraded = fields.Boolean()
    suggestions = fields.List(fields.Nested(SuggestionSchema))
    searches = fields.List(fields.Nested(OfferedSearchSchema))
    places = fields.List(fields.Nested(PlaceSchema))


def result_to_json(result: SearchResult) -> dict[str, Any]:
    """Shape a result for JSON."""
    return {
        "query": result.query,
        "total": result.total,
        "total_is_exact": result.total_is_exact,
        "page": result.page,
        "size": result.size,
        "took_ms": round(result.took_ms, 2),
        "degraded": result.degraded,
        "engine": result.engine,
        "did_you_mean": result.did_you_mean,
        "corrected_from": result.corrected_from,
        "missing_words": list(result.missing_words),
        "hits": [hit_to_json(hit, is_told=bool(result.rules)) for hit in result.hits],
        "facets": {
            name: [{"value": v.value, "label": str(v.label), "count": v.count, "selected": v.selected} for v in values]
            for name, values in result.facets.items()
        },
    }


def hit_to_json(hit: Hit, *, is_told: bool) -> dict[str, Any]:
    """Shape one hit for JSON; staff are told whether it is pinned."""
    shaped: dict[str, Any] = {
        "id": hit.id,
        "kind": hit.kind,
        "external_id": hit.external_id or None,
        "source": hit.source or None,
        "title": hit.title,
        "url": hit.url,
        "score": round(hit.score, 4),
        "highlights": {"title": str(hit.title_html), "body": [str(snippet) for snippet in hit.snippets]},
        "language": hit.language,
        "status": hit.status,
        "updated_at": hit.updated_at.isoformat().replace("+00:00", "Z") if hit.updated_at else None,
    }
    if hit.matched_fields:
        shaped["why"] = [
            {"field": field.field, "score": round(field.score, 4), "words": list(field.words)}
            for field in hit.matched_fields
        ]
    if is_told and hit.is_pinned:
        shaped["pinned"] = True
    return shaped


def offers_to_json(text: str, offers: Offers) -> dict[str, Any]:
    """Shape what is offered for JSON."""
    return {
        "query": text,
        "degraded": offers.degraded,
        "suggestions": [suggestion_to_json(title) for title in offers.titles],
        "searches": [
            {"words": found.words, "html": str(found.html), "url": found.url, "is_own": found.is_own}
            for found in offers.searches
        ],
        "places": [{"name": place.name, "url": place.url} for place in offers.places],
    }


def suggestion_to_json(suggestion: Suggestion) -> dict[str, Any]:
    """Shape one suggestion for JSON."""
    return {
        "id": suggestion.id,
        "kind": suggestion.kind,
        "title": suggestion.title,
        "html": str(suggestion.title_html),
        "url": suggestion.url,
    }
