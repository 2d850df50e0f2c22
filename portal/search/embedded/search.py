"""One request on one searcher of the embedded index: hits, facets, corrections, and why."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import tantivy
from tantivy import FieldType, Occur, Order, Query

from portal.search import corrections, stored
from portal.search.asking import REFINED, counts_of, fields_of_words, nothing_found, order_of
from portal.search.embedded.counting import aggregation_of, threads_beside
from portal.search.embedded.documents import THOUSAND, read_stored
from portal.search.embedded.queries import (
    any_of,
    clause_parts,
    count_hits,
    has_any,
    has_key,
    has_term,
    plan_parts,
    rights_of,
    silent,
    total_of,
)
from portal.search.embedded.schema import NAME, column, id_of
from portal.search.facets import FACETS, UPDATED, Facet, Period, build_values, period_of
from portal.search.highlight import Marker
from portal.search.query import Query as Words
from portal.search.query import TypedWord, parse
from portal.search.ranking import Clause, Field, Plan, build_plan, labels_of
from portal.search.request import DEEPEST_HIT, SearchRequest
from portal.search.results import Explanation, FacetValue, Hit, MatchedField, Presence, SearchResult
from portal.search.stages import FIRST, Candidate, SecondStage, Window, arrange, page_of

MOST_APART = 6
_Found = tuple[float, tantivy.DocAddress]


class Search:
    """One request on one searcher."""

    def __init__(
        self,
        schema: tantivy.Schema,
        searcher: tantivy.Searcher,
        request: SearchRequest,
        plan: Plan,
        second: SecondStage,
    ) -> None:
        self.schema = schema
        self.searcher = searcher
        self.request = request
        self.viewer = request.viewer
        self.words: Words = request.query
        self.plan = plan
        self.rights = rights_of(schema, self.viewer)
        self.chosen = {name: self._filter(name, values) for name, values in request.filters.items()}
        self.second = second
        self.steering = second.steering_of(request)

    def result(self) -> SearchResult:
        """Answer the request: one page of hits, the exact total, the facets and a correction."""
        request = self.request
        if self.plan.finds_nothing:
            return nothing_found(request, NAME)
        # The counts take as long as the hits; tantivy needs no interpreter lock for either.
        counting = threads_beside().submit(self._facets) if request.with_facets else None
        order = order_of(request)
        pinned = self._pinned() if order is None else ()
        window = self.second.window_of(request, len(pinned))
        hits_found, total_found = self._sorted(order, window) if order else self._ranked(window.offset, window.size)
        ranked = self._candidates(hits_found, window.offset)
        marker = Marker(self.plan) if request.with_highlights else None
        page = page_of(self.second.stages, window, pinned, ranked, request)
        hits = tuple(self._hit(candidate, marker) for candidate in page)
        total = total_found + len(pinned)
        missing = self._missing(marker.seen if marker else ()) if request.with_correction else []
        return SearchResult(
            query=request.text,
            engine=NAME,
            total=total,
            hits=hits,
            facets=counting.result() if counting else {},
            did_you_mean=self._correction(missing) if missing else None,
            missing_words=corrections.named(self.words, missing),
            rules=self.steering.rules,
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
        if document_id in self.steering.hidden:
            return Explanation(id=document_id, presence=Presence.HIDDEN, matched_fields=fields)
        if self.plan.finds_nothing or not matches(self._query((), is_scored=False)):
            return Explanation(id=document_id, presence=Presence.NO_MATCH, matched_fields=fields)
        kept_out = tuple(name for name, chosen in self.chosen.items() if not matches(chosen))
        if kept_out:
            return Explanation(id=document_id, presence=Presence.FILTERED, matched_fields=fields, filters=kept_out)
        ranked, _ = self._ranked(0, DEEPEST_HIT)
        place = next(
            (n for n, (_, a) in enumerate(ranked, 1) if (a.segment_ord, a.doc) == (address.segment_ord, address.doc)), 0
        )
        pinned = self._pinned()
        first = [*pinned, *self._candidates(ranked[:FIRST])][:FIRST]
        arranged = [candidate.id for candidate in arrange(self.second.stages, first, self.request)]
        rank = arranged.index(document_id) + 1 if document_id in arranged else place + len(pinned) if place else 0
        is_pinned = any(candidate.id == document_id for candidate in pinned)
        is_refined = is_pinned or 0 < place <= REFINED
        return Explanation(
            id=document_id,
            presence=Presence.FOUND,
            rank=rank,
            score=self._score(own, is_refined=is_refined),
            matched_fields=fields if is_refined else self._matched_fields(document_id, is_refined=False),
            is_pinned=is_pinned,
            is_refined=is_refined,
        )

    def _score(self, own: Query, *, is_refined: bool) -> float:
        """Return what one document is, or would be, ranked by."""
        parts = plan_parts(self.schema, self.plan if is_refined else self.plan.unrefined)
        hits = self.searcher.search(Query.boolean_query([(Occur.Must, own), *parts]), 1, count=False).hits
        return float(hits[0][0]) if hits else 0.0

    def _sorted(self, order: str, window: Window) -> tuple[list[_Found], int]:
        query = self._query(self.chosen.values(), is_scored=False)
        found = self.searcher.search(
            query, window.size, count=True, order_by_field=order, offset=window.offset, order=Order.Desc
        )
        return [(0.0, address) for _, address in found.hits], total_of(found)

    def _ranked(self, offset: int, size: int) -> tuple[list[_Found], int]:
        """Return hits by their score, the best of them refined, and how many there are in all."""
        query = self._query(self.chosen.values(), with_pinned=False)
        is_refined = bool(self.plan.refining) and offset < REFINED
        if not is_refined:
            found = self.searcher.search(query, size, count=True, offset=offset)
            return found.hits, total_of(found)
        found = self.searcher.search(query, max(REFINED, offset + size), count=True)
        best = self._refined(found.hits[:REFINED])
        return [*best, *found.hits[REFINED:]][offset : offset + size], total_of(found)

    def _refined(self, hits: Sequence[_Found]) -> list[_Found]:
        """Add what the plan's refining clauses give; over all hits they were two thirds of a query's work."""
        keys = self.searcher.fast_field_values("key", [address for _, address in hits])
        own = silent(Query.boolean_query([(Occur.Should, has_key(self.schema, int(key or 0))) for key in keys]))
        scores = {(at.segment_ord, at.doc): score for score, at in hits}
        for clauses in _groups(self.plan.refining):
            query = Query.boolean_query([(Occur.Must, own), (Occur.Must, any_of(self.schema, clauses))])
            for score, at in self.searcher.search(query, max(1, len(hits)), count=False).hits:
                scores[at.segment_ord, at.doc] += score
        refined = [(scores[at.segment_ord, at.doc], at) for _, at in hits]
        return sorted(refined, key=lambda hit: (-hit[0], hit[1].segment_ord, hit[1].doc))

    def _query(self, filters: Iterable[Query], *, is_scored: bool = True, with_pinned: bool = True) -> Query:
        """Return rights, words, typed operators and these filters; what is pinned is found as by its words."""
        plan = self.plan.unrefined if is_scored else self.plan.unscored
        parts = [(Occur.Must, self.rights)]
        left_out = list(self.steering.hidden)
        if self.steering.pinned and with_pinned:
            found = [(Occur.Should, Query.boolean_query(plan_parts(self.schema, plan)))]
            pinned = silent(has_any(self.schema, "id", self.steering.pinned))
            parts.append((Occur.Must, Query.boolean_query([*found, (Occur.Should, pinned)])))
        else:
            parts += plan_parts(self.schema, plan)
            left_out += self.steering.pinned
        for name, values in self.words.operators.items():
            parts.append((Occur.Must, self._operator(name, values)))
        parts += [(Occur.Must, chosen) for chosen in filters]
        if left_out:
            parts.append((Occur.MustNot, has_any(self.schema, "id", left_out)))
        return Query.boolean_query(parts)

    def _stored(self, address: tantivy.DocAddress) -> dict[str, Any]:
        return read_stored(self.searcher, address)[1]

    def _pinned(self) -> tuple[Candidate, ...]:
        """Return what is pinned to this query and this viewer may read within the chosen filters; by its own score."""
        if not self.steering.pinned:
            return ()
        own = silent(has_any(self.schema, "id", self.steering.pinned))
        parts = [(Occur.Must, query) for query in (self.rights, own, *self.chosen.values())]
        parts += [(Occur.Must, self._operator(name, values)) for name, values in self.words.operators.items()]
        parts.append((Occur.Should, Query.boolean_query(plan_parts(self.schema, self.plan))))
        hits = self.searcher.search(Query.boolean_query(parts), len(self.steering.pinned), count=False).hits
        found = {candidate.id: replace(candidate, is_pinned=True) for candidate in self._candidates(hits)}
        return tuple(found[name] for name in self.steering.pinned if name in found)

    def _candidates(self, hits: Sequence[_Found], offset: int = 0) -> list[Candidate]:
        addresses = [address for _, address in hits]
        keys, updated, popularity, helpfulness = (
            self.searcher.fast_field_values(name, addresses)
            for name in ("key", "updated_at", "popularity", "helpfulness")
        )
        found = []
        for place, (score, address) in enumerate(hits):
            name = id_of(int(keys[place] or 0)) or str(self.searcher.doc(address).get_first("id"))
            moment = int(updated[place] or 0)
            found.append(
                Candidate(
                    id=name,
                    score=score,
                    updated_at=datetime.fromtimestamp(moment, UTC) if moment else None,
                    popularity=int(popularity[place] or 0) / THOUSAND,
                    helpfulness=int(helpfulness[place] or 0) / THOUSAND,
                    is_refined=offset + place < REFINED,
                    read=partial(self._stored, address),
                )
            )
        return found

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

    def _hit(self, found: Candidate, marker: Marker | None) -> Hit:
        is_explained = self.request.explain and self.viewer.is_staff and order_of(self.request) is None
        fields = self._matched_fields(found.id, is_refined=found.is_refined) if is_explained else ()
        return stored.build_hit(
            found.id,
            found.read(),
            score=found.score,
            marker=marker,
            is_staff=self.viewer.is_staff,
            matched_fields=fields,
            is_pinned=found.is_pinned,
        )

    def _matched_fields(self, document_id: str, *, is_refined: bool = True) -> tuple[MatchedField, ...]:
        own = silent(has_term(self.schema, "id", document_id))
        scores: dict[str, float] = {}
        words: dict[str, dict[str, None]] = {}
        plan = self.plan if is_refined else self.plan.unrefined
        for clause in (*plan.matching, *plan.scoring, *plan.refining):
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

        text = corrections.corrected(self.words, missing, near, self._readable)
        if text is None:
            return None
        words = parse(text)
        plan = build_plan(words, is_staff=self.viewer.is_staff)
        parts = [(Occur.Must, self.rights), *plan_parts(self.schema, plan)]
        parts += [(Occur.Must, self._operator(name, values)) for name, values in words.operators.items()]
        parts += [(Occur.Must, chosen) for chosen in self.chosen.values()]
        return text if count_hits(self.searcher, Query.boolean_query(parts)) else None


def _groups(clauses: Sequence[Clause]) -> list[list[Clause]]:
    """Return clauses as they are asked together: a few phrases each alone, where the library skips from hit to hit.

    Among other ways to match it walks through all of a phrase's places.
    """
    plain = [clause for clause in clauses if not clause.is_phrase]
    phrases = [clause for clause in clauses if clause.is_phrase]
    apart = [[phrase] for phrase in phrases] if len(phrases) <= MOST_APART else [phrases]
    return [plain, *apart] if plain else apart
