"""One request as OpenSearch is asked it, and its answer read: hits, facets, and why."""

from collections.abc import Sequence
from dataclasses import replace

from portal.search import stored
from portal.search.asking import counts_of, order_of, ranges_between
from portal.search.facets import FACETS, UPDATED, Facet, age_bounds, build_values, period_of
from portal.search.highlight import Marker
from portal.search.opensearch.queries import Json, clause_query, planned_query
from portal.search.query import Query
from portal.search.ranking import Plan, Synonyms, build_plan
from portal.search.request import SearchRequest
from portal.search.results import FacetValue, Hit, MatchedField

REFINED = 200
SHOWN = [
    "kind", "title", "url", "external_id", "identifiers", "created_at", "updated_at", "published_at", "popularity",
    *(facet.name for facet in FACETS.values() if not facet.is_dates and facet.name != "kind"),
]  # fmt: skip
TEXTS = ["lead", "body", "sections", "attachments"]


class Search:
    """One request as OpenSearch is asked it."""

    def __init__(self, request: SearchRequest, synonyms: Synonyms) -> None:
        self.request = request
        self.viewer = request.viewer
        self.words: Query = request.query
        self.plan = build_plan(self.words, is_staff=self.viewer.is_staff, synonyms=synonyms)
        self.is_explained = request.explain and self.viewer.is_staff
        self.chosen = {name: self._filter(name, values) for name, values in request.filters.items()}

    def query(self, plan: Plan | None = None) -> Json:
        """Return rights, words and typed operators; the chosen facets stand outside of it."""
        query = planned_query(plan or self.plan, self.viewer, is_named=self.is_explained)
        for name, values in self.words.operators.items():
            if name == "id":
                keys = [stored.identifier_key(value) for value in values]
                query["bool"]["filter"].append({"terms": {"identifier_keys": keys}})
            else:
                query["bool"]["filter"].append({"terms": {name: list(values)}})
        return query

    def body(self) -> Json:
        """Return the whole request: query, page, order, facets."""
        request = self.request
        shown = list(SHOWN)
        if request.with_highlights:
            shown += [*TEXTS, "internal"] if self.viewer.is_staff else TEXTS
        order = order_of(request)
        plan = self.plan
        if order:
            plan = replace(plan, scoring=(), refining=())
        elif not self.is_explained:
            plan = replace(plan, refining=())
        body: Json = {
            "query": self.query(plan),
            "from": request.offset,
            "size": request.size,
            "track_total_hits": True,
            "_source": shown,
        }
        if self.chosen:
            body["post_filter"] = {"bool": {"filter": list(self.chosen.values())}}
        if order:
            body["sort"] = [{order: {"order": "desc", "missing": "_last"}}, {"id": {"order": "asc"}}]
        elif self.plan.refining and not self.is_explained:
            # Measured at 100,000 documents, these clauses over all hits were half of a query's work.
            refined = {"bool": {"should": [clause_query(clause) for clause in self.plan.refining]}}
            body["rescore"] = {"window_size": REFINED, "query": {"rescore_query": refined}}
        if request.with_facets:
            body["aggs"] = self._aggregations()
        return body

    def hit(self, found: Json, marker: Marker | None) -> Hit:
        """Make a hit of what was found."""
        return stored.build_hit(
            found["_id"],
            found["_source"],
            score=found.get("_score") or 0.0,
            marker=marker,
            is_staff=self.viewer.is_staff,
            matched_fields=matched_fields(found) if self.is_explained else (),
        )

    def facets(self, answer: Json) -> dict[str, tuple[FacetValue, ...]]:
        """Read the counts of all facets out of the aggregations."""
        if not self.request.with_facets:
            return {}
        return {
            facet.name: build_values(
                facet,
                counts_of(facet, _counted(answer, facet.name)),
                self.request.filters.get(facet.name, ()),
                self.request.facet_limit,
            )
            for facet in self.request.facets
        }

    def _aggregations(self) -> Json:
        """Group the facets by what they are counted over: all chosen filters but their own."""
        groups: Json = {}
        for facet in self.request.facets:
            others = [chosen for name, chosen in self.chosen.items() if name != facet.name]
            counted = {facet.name: self._aggregation(facet)}
            if facet.name in self.chosen or not self.chosen:
                if others:
                    groups[f"own_{facet.name}"] = {"filter": {"bool": {"filter": others}}, "aggs": counted}
                else:
                    groups |= counted
            else:
                everything = {"filter": {"bool": {"filter": list(self.chosen.values())}}, "aggs": {}}
                groups.setdefault("chosen", everything)["aggs"] |= counted
        return groups

    def _aggregation(self, facet: Facet) -> Json:
        if not facet.is_dates:
            return {"terms": {"field": facet.name, "size": self.request.facet_limit}}
        bounds = [moment.isoformat() for moment in age_bounds(self.request.now)]
        return {"date_range": {"field": "updated_at", "ranges": ranges_between(bounds)}}

    def _filter(self, name: str, values: Sequence[str]) -> Json:
        if name != UPDATED:
            return {"terms": {name: [value[: stored.LONGEST_KEYWORD] for value in values]}}
        ways = []
        for value in values:
            period = period_of(value, self.request.now)
            limits = {}
            if period.begins_at:
                limits["gte"] = period.begins_at.isoformat()
            if period.ends_at:
                limits["lt"] = period.ends_at.isoformat()
            ways.append({"range": {"updated_at": limits}})
        return {"bool": {"should": ways, "minimum_should_match": 1}}


def matched_fields(found: Json) -> tuple[MatchedField, ...]:
    """Read what each field added to the score out of a hit of a named query."""
    named = found.get("matched_queries", {})
    if not isinstance(named, dict):
        return ()
    scores: dict[str, float] = {}
    words: dict[str, dict[str, None]] = {}
    for label, score in named.items():
        _, name, word = label.split(" ", 2)
        scores[name] = scores.get(name, 0.0) + float(score)
        words.setdefault(name, {})[word] = None
    ordered = sorted(scores.items(), key=lambda entry: -entry[1])
    return tuple(MatchedField(field=name, score=round(score, 4), words=tuple(words[name])) for name, score in ordered)


def _counted(answer: Json, name: str) -> Json:
    for group in (f"own_{name}", "chosen"):
        if name in answer.get(group, {}):
            found: Json = answer[group][name]
            return found
    alone: Json = answer.get(name, {"buckets": []})
    return alone
