"""One request as OpenSearch is asked it, and its answer read: hits, facets, and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from portal.search import stored
from portal.search.asking import REFINED, counts_of, order_of, ranges_between
from portal.search.facets import FACETS, UPDATED, Facet, age_bounds, build_values, period_of
from portal.search.highlight import Marker
from portal.search.opensearch.queries import Json, any_query, clause_query, constant, has_ids, planned_query, rights_of
from portal.search.query import Query
from portal.search.ranking import Plan
from portal.search.request import SearchRequest
from portal.search.results import FacetValue, Hit, MatchedField
from portal.search.stages import Candidate, SecondStage, Window

SHOWN = [
    "kind", "title", "url", "external_id", "identifiers", "created_at", "updated_at", "published_at", "popularity",
    *(facet.name for facet in FACETS.values() if not facet.is_dates and facet.name != "kind"),
]  # fmt: skip
TEXTS = ["lead", "body", "sections", "attachments"]
ORDERING: list[Json | str] = ["id", {"field": "updated_at", "format": "epoch_millis"}, "popularity", "helpfulness"]
WITHOUT_STORED: Json = {"_source": False, "stored_fields": "_none_"}
"""Asks for nothing that is stored, the id of a hit among it: it lies compressed, in blocks with the texts of others."""


class Search:
    """One request as OpenSearch is asked it."""

    def __init__(self, request: SearchRequest, plan: Plan, second: SecondStage) -> None:
        self.request = request
        self.viewer = request.viewer
        self.words: Query = request.query
        self.plan = plan
        self.is_explained = request.explain and self.viewer.is_staff and order_of(request) is None
        self.chosen = {name: self._filter(name, values) for name, values in request.filters.items()}
        self.second = second
        self.steering = second.steering_of(request)

    def query(self, plan: Plan | None = None, *, with_pinned: bool = True) -> Json:
        """Return rights, words and typed operators; the chosen facets stand outside of it.

        What is pinned is found as by its words, or left out where it is looked up by itself.
        """
        query = planned_query(plan or self.plan, self.viewer)
        left_out = list(self.steering.hidden)
        if self.steering.pinned and with_pinned:
            ways = [query, constant(has_ids(self.steering.pinned), 0.0)]
            query = {"bool": {"filter": rights_of(self.viewer), "must_not": [], "must": [any_query(ways)]}}
        else:
            left_out += self.steering.pinned
        if left_out:
            query["bool"]["must_not"].append(has_ids(left_out))
        query["bool"]["filter"] += self._operators()
        return query

    def _operators(self) -> list[Json]:
        filters: list[Json] = []
        for name, values in self.words.operators.items():
            if name == "id":
                keys = [stored.identifier_key(value) for value in values]
                filters.append({"terms": {"identifier_keys": keys}})
            else:
                filters.append({"terms": {name: list(values)}})
        return filters

    def body(self, window: Window) -> Json:
        """Return the request for the hits of a page, in their order, and for nothing else.

        Where nobody asks it how many there are, OpenSearch leaves out what cannot come among the best.
        """
        order = order_of(self.request)
        body: Json = {
            **self._within(self.plan.unscored if order else self.plan.unrefined),
            "from": window.offset,
            "size": window.size,
            "track_total_hits": False,
            **self._given(window),
        }
        if order:
            body["sort"] = [{order: {"order": "desc", "missing": "_last"}}, {"id": {"order": "asc"}}]
        elif self.plan.refining:
            # Measured at 100,000 documents, these clauses over all hits were half of a query's work.
            refined = {"bool": {"should": [clause_query(clause) for clause in self.plan.refining]}}
            body["rescore"] = {"window_size": REFINED, "query": {"rescore_query": refined}}
        return body

    def counts_body(self) -> Json:
        """Return the request for the total and the facets: every match is counted, none is weighed."""
        body = {**self._within(self.plan.unscored), "size": 0, "track_total_hits": True}
        if self.request.with_facets:
            body["aggs"] = self._aggregations()
        return body

    def _within(self, plan: Plan) -> Json:
        """Return the query, and apart from it what narrows the hits and not the facets."""
        apart: Json = {}
        if self.chosen:
            apart["filter"] = list(self.chosen.values())
        if self.steering.pinned and order_of(self.request) is None:
            # Facets count what is pinned; it is not ranked among the others.
            apart["must_not"] = [has_ids(self.steering.pinned)]
        query = self.query(plan)
        return {"query": query, "post_filter": {"bool": apart}} if apart else {"query": query}

    def _given(self, window: Window) -> Json:
        """Return what the answer holds of each document: what orders candidates, else all that is shown."""
        if window.is_arranged:
            return {**WITHOUT_STORED, "docvalue_fields": ORDERING}
        return {"_source": self.shown}

    @property
    def shown(self) -> list[str]:
        """The stored fields that hits are made of."""
        if not self.request.with_highlights:
            return SHOWN
        return [*SHOWN, *TEXTS, "internal"] if self.viewer.is_staff else [*SHOWN, *TEXTS]

    def pinned_body(self) -> Json:
        """Return the request for what is pinned to the words, within rights and chosen filters; by its own score."""
        filters = [*rights_of(self.viewer), *self._operators(), *self.chosen.values()]
        own = planned_query(self.plan, self.viewer)
        query = {"bool": {"filter": [*filters, has_ids(self.steering.pinned)], "should": [own]}}
        return {"query": query, "size": len(self.steering.pinned), **WITHOUT_STORED, "docvalue_fields": ORDERING}

    def reasons_body(self, ids: Sequence[str], *, is_refined: bool) -> Json:
        """Return the request for what each field adds, or would add, to the scores of these documents."""
        named = planned_query(self.plan if is_refined else self.plan.unrefined, self.viewer, is_named=True)
        query = {"bool": {"filter": [has_ids(ids)], "should": [named]}}
        return {"query": query, "size": len(ids), "_source": False, "track_total_hits": False}

    def texts_body(self, ids: Sequence[str]) -> Json:
        """Return the request for all that is shown of these documents."""
        query = {"bool": {"filter": [*rights_of(self.viewer), has_ids(ids)]}}
        return {"query": query, "size": len(ids), "_source": self.shown, "track_total_hits": False}

    def pinned(self, answer: Json) -> list[Candidate]:
        """Read the pinned documents, in the order in which they were pinned."""
        found = {id_of(hit): replace(candidate_of(hit), is_pinned=True) for hit in answer["hits"]["hits"]}
        return [found[name] for name in self.steering.pinned if name in found]

    def hit(self, candidate: Candidate, source: Json, marker: Marker | None, reasons: Json) -> Hit:
        """Make a hit of a candidate, what is stored of it, and what tells its reasons, if they are wanted."""
        return stored.build_hit(
            candidate.id,
            source,
            score=candidate.score,
            marker=marker,
            is_staff=self.viewer.is_staff,
            matched_fields=matched_fields(reasons),
            is_pinned=candidate.is_pinned,
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


def id_of(found: Json) -> str:
    """Return a found document's id, whether it was asked for as a value or came with what is stored."""
    values = found.get("fields", {}).get("id")
    return str(values[0] if values else found["_id"])


def candidate_of(found: Json, place: int = 0) -> Candidate:
    """Read a candidate for the second stage out of a found document; `place` counts from 0."""
    values = found.get("fields", {})
    moment = values.get("updated_at")
    return Candidate(
        id=id_of(found),
        score=found.get("_score") or 0.0,
        updated_at=datetime.fromtimestamp(int(moment[0]) / 1000, UTC) if moment else None,
        popularity=float(values.get("popularity", (0.0,))[0]),
        helpfulness=float(values.get("helpfulness", (0.5,))[0]),
        is_refined=place < REFINED,
        read=lambda: found.get("_source", {}),
    )


def matched_fields(found: Json) -> tuple[MatchedField, ...]:
    """Read what each field added to the score out of an answer of `Search.reasons_body`."""
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
