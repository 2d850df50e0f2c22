"""One request on one searcher of the embedded index: hits, facets, corrections, and why."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import tantivy
from tantivy import FieldType, Occur, Order, Query

from portal.search import corrections, stored
from portal.search.asking import counts_of, fields_of_words, nothing_found, order_of
from portal.search.embedded.counting import aggregation_of, threads_beside
from portal.search.embedded.documents import read_stored
from portal.search.embedded.queries import (
    clause_parts,
    count_hits,
    has_any,
    has_term,
    plan_parts,
    rights_of,
    silent,
    total_of,
)
from portal.search.embedded.schema import NAME, column
from portal.search.facets import FACETS, UPDATED, Facet, Period, build_values, period_of
from portal.search.highlight import Marker
from portal.search.query import Query as Words
from portal.search.query import TypedWord, parse
from portal.search.ranking import Field, Synonyms, build_plan, labels_of
from portal.search.request import DEEPEST_HIT, SearchRequest
from portal.search.results import Explanation, FacetValue, Hit, MatchedField, Presence, SearchResult


class Search:
    """One request on one searcher."""

    def __init__(
        self, schema: tantivy.Schema, searcher: tantivy.Searcher, request: SearchRequest, synonyms: Synonyms
    ) -> None:
        self.schema = schema
        self.searcher = searcher
        self.request = request
        self.viewer = request.viewer
        self.words: Words = request.query
        self.plan = build_plan(self.words, is_staff=self.viewer.is_staff, synonyms=synonyms)
        self.rights = rights_of(schema, self.viewer)
        self.chosen = {name: self._filter(name, values) for name, values in request.filters.items()}

    def result(self) -> SearchResult:
        """Answer the request: one page of hits, the exact total, the facets and a correction."""
        request = self.request
        if self.plan.finds_nothing:
            return nothing_found(request, NAME)
        # The counts take as long as the hits; tantivy needs no interpreter lock for either.
        counting = threads_beside().submit(self._facets) if request.with_facets else None
        order = order_of(request)
        query = self._query(self.chosen.values(), is_scored=order is None)
        found = self.searcher.search(
            query, request.size, count=True, order_by_field=order, offset=request.offset, order=Order.Desc
        )
        marker = Marker(self.plan) if request.with_highlights else None
        hits = tuple(self._hit(score if order is None else 0.0, address, marker) for score, address in found.hits)
        total = int(total_of(found))
        missing = self._missing(marker.seen if marker else ()) if request.with_correction else []
        return SearchResult(
            query=request.text,
            engine=NAME,
            total=total,
            hits=hits,
            facets=counting.result() if counting else {},
            did_you_mean=self._correction(missing) if missing else None,
            missing_words=tuple(word.text for word in missing),
            page=request.page,
            size=request.size,
        )

    def correction(self) -> str | None:
        """Return the request's text with misspelt words mended, or None."""
        return self._correction(self._missing())

    def explanation(self, document_id: str) -> Explanation:
        """Say why a document is or is not among the hits."""
        own = silent(has_term(self.schema, "id", document_id))
        hits = self.searcher.search(own, 1, count=False).hits
        if not hits:
            return Explanation(id=document_id, presence=Presence.NOT_INDEXED)
        address = hits[0][1]
        if self.searcher.fast_field_values("gone", [address])[0]:
            return Explanation(id=document_id, presence=Presence.WITHDRAWN)

        def matches(*others: Query) -> bool:
            return count_hits(self.searcher, Query.boolean_query([(Occur.Must, q) for q in (own, *others)])) > 0

        if not matches(self.rights):
            return Explanation(id=document_id, presence=Presence.NOT_READABLE)
        fields = self._matched_fields(document_id)
        if self.plan.finds_nothing or not matches(self._query((), is_scored=False)):
            return Explanation(id=document_id, presence=Presence.NO_MATCH, matched_fields=fields)
        kept_out = tuple(name for name, chosen in self.chosen.items() if not matches(chosen))
        if kept_out:
            return Explanation(id=document_id, presence=Presence.FILTERED, matched_fields=fields, filters=kept_out)
        ranked = self.searcher.search(self._query(self.chosen.values()), DEEPEST_HIT, count=False).hits
        place = next(
            (n for n, (_, a) in enumerate(ranked, 1) if (a.segment_ord, a.doc) == (address.segment_ord, address.doc)), 0
        )
        return Explanation(
            id=document_id,
            presence=Presence.FOUND,
            rank=place,
            score=ranked[place - 1][0] if place else 0.0,
            matched_fields=fields,
        )

    def _query(self, filters: Iterable[Query], *, is_scored: bool = True) -> Query:
        plan = self.plan if is_scored else replace(self.plan, scoring=(), refining=())
        parts = [(Occur.Must, self.rights), *plan_parts(self.schema, plan)]
        for name, values in self.words.operators.items():
            parts.append((Occur.Must, self._operator(name, values)))
        parts += [(Occur.Must, chosen) for chosen in filters]
        return Query.boolean_query(parts)

    def _operator(self, name: str, values: Sequence[str]) -> Query:
        if name == "id":
            return silent(has_any(self.schema, "identifiers", [stored.identifier_key(value) for value in values]))
        return silent(has_any(self.schema, column(name), values))

    def _filter(self, name: str, values: Sequence[str]) -> Query:
        if name != UPDATED:
            return silent(has_any(self.schema, column(name), values))
        ways = [(Occur.Should, self._updated_within(period_of(value, self.request.now))) for value in values]
        return silent(Query.boolean_query(ways))

    def _updated_within(self, period: Period) -> Query:
        return Query.range_query(
            self.schema,
            "updated_at",
            FieldType.Unsigned,
            stored.epoch(period.begins_at) if period.begins_at else None,
            stored.epoch(period.ends_at) if period.ends_at else None,
            include_upper=period.ends_at is None,
        )

    def _facets(self) -> dict[str, tuple[FacetValue, ...]]:
        counts: dict[str, Mapping[str, int]] = {}
        alike = [facet for facet in self.request.facets if facet.name not in self.chosen]
        counts |= self._counted(self._query(self.chosen.values(), is_scored=False), alike)
        for name in self.chosen:
            others = [chosen for other, chosen in self.chosen.items() if other != name]
            counts |= self._counted(self._query(others, is_scored=False), [FACETS[name]])
        return {
            facet.name: build_values(
                facet, counts[facet.name], self.request.filters.get(facet.name, ()), self.request.facet_limit
            )
            for facet in self.request.facets
        }

    def _counted(self, query: Query, facets: Sequence[Facet]) -> dict[str, dict[str, int]]:
        if not facets:
            return {}
        asked = {facet.name: aggregation_of(facet, self.request.now, self.request.facet_limit) for facet in facets}
        answer = self.searcher.aggregate(query, asked)
        return {facet.name: counts_of(facet, answer[facet.name]) for facet in facets}

    def _hit(self, score: float, address: tantivy.DocAddress, marker: Marker | None) -> Hit:
        document_id, data = read_stored(self.searcher, address)
        fields = self._matched_fields(document_id) if self.request.explain and self.viewer.is_staff else ()
        return stored.build_hit(
            document_id, data, score=score, marker=marker, is_staff=self.viewer.is_staff, matched_fields=fields
        )

    def _matched_fields(self, document_id: str) -> tuple[MatchedField, ...]:
        own = silent(has_term(self.schema, "id", document_id))
        scores: dict[str, float] = {}
        words: dict[str, dict[str, None]] = {}
        for clause in (*self.plan.matching, *self.plan.scoring, *self.plan.refining):
            name = clause.field.value
            for label, (_, part) in zip(labels_of(clause), clause_parts(self.schema, clause), strict=True):
                query = Query.boolean_query([(Occur.Must, own), (Occur.Must, part)])
                if hits := self.searcher.search(query, 1, count=False).hits:
                    scores[name] = scores.get(name, 0.0) + hits[0][0]
                    words.setdefault(name, {})[label] = None
        found = [
            MatchedField(field=name, score=round(score, 4), words=tuple(words[name])) for name, score in scores.items()
        ]
        return tuple(sorted(found, key=lambda f: -f.score))

    def _missing(self, seen: Collection[str] = ()) -> list[TypedWord]:
        return corrections.missing_words(self.words, self._readable, seen)

    def _readable(self, terms: Iterable[str]) -> set[str]:
        return {term for term in terms if self._is_readable(term)}

    def _is_readable(self, term: str) -> bool:
        there = [f.value for f in fields_of_words(self.viewer) if self.searcher.doc_freq(f.value, term)]
        if not there:
            return False
        ways = Query.boolean_query([(Occur.Should, has_term(self.schema, name, term)) for name in there])
        query = Query.boolean_query([(Occur.Must, self.rights), (Occur.Must, ways)])
        return count_hits(self.searcher, query) > 0

    def _correction(self, missing: Sequence[TypedWord]) -> str | None:
        def near(word: str, distance: int) -> Iterator[str]:
            fuzzy = Query.fuzzy_term_query(self.schema, Field.WORDS.value, word, distance)
            query = Query.boolean_query([(Occur.Must, self.rights), (Occur.Must, fuzzy)])
            for _, address in self.searcher.search(query, corrections.LOOKED_AT, count=False).hits:
                _, data = read_stored(self.searcher, address)
                yield stored.searched_text(data, is_staff=False)

        text = corrections.corrected(self.request.text, missing, near)
        if text is None:
            return None
        words = parse(text)
        plan = build_plan(words, is_staff=self.viewer.is_staff)
        parts = [(Occur.Must, self.rights), *plan_parts(self.schema, plan)]
        parts += [(Occur.Must, self._operator(name, values)) for name, values in words.operators.items()]
        parts += [(Occur.Must, chosen) for chosen in self.chosen.values()]
        return text if count_hits(self.searcher, Query.boolean_query(parts)) else None
