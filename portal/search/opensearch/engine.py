"""The engine for production: OpenSearch, any number of nodes, through opensearch-py.

An alias with the installation's prefix names the live index.  Every index has a second alias of its own that writes
must go through, so that a write to a dropped index is refused and never makes a new one without a mapping.  Queries are
built from analysed terms; what people type never reaches a query parser.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, OpenSearchException
from opensearchpy.helpers import scan

from portal.access import Viewer
from portal.search import corrections, stored, suggestions
from portal.search.asking import (
    REFINED,
    Found,
    fields_of_words,
    find_alike,
    find_loosely,
    is_loose,
    nothing_found,
    order_of,
    plan_of,
)
from portal.search.document import Document, Ready, Tombstone
from portal.search.engine import BadQuery, EngineDown, EngineError, IndexCorrupt, IndexMissing
from portal.search.guidance import Guidance, default_guidance
from portal.search.highlight import Marker
from portal.search.opensearch import transport
from portal.search.opensearch.breaker import Breaker
from portal.search.opensearch.bulk import WRITE_TIMEOUT_S, Bulk
from portal.search.opensearch.faults import Faults, error_of
from portal.search.opensearch.layout import index_body
from portal.search.opensearch.queries import NAMES, Json, has_ids, planned_query, rights_of, title_query
from portal.search.opensearch.search import SHOWN, TEXTS, WITHOUT_STORED, Search, candidate_of, id_of, matched_fields
from portal.search.opensearch.spread import open_body, read_open, read_vectors, vectors_body
from portal.search.query import TypedWord
from portal.search.ranking import Field, Plan
from portal.search.rarity import Rarities, Spread, Term
from portal.search.request import DEEPEST_HIT, SearchRequest
from portal.search.results import (
    EngineHealth,
    Explanation,
    Hit,
    IndexedVersion,
    IndexSummary,
    Presence,
    SearchResult,
    Suggestion,
    WriteOutcome,
)
from portal.search.stages import FIRST, Candidate, SecondStage, Window, arrange, page_of

Answer = TypeVar("Answer")

ADMIN_TIMEOUT_S = 30.0
MOST_CONNECTIONS = 64
"""So many connections to a node are kept: one for each thread that a web process may have."""
SPREAD_KEPT_S = 5.0
"""So long scores may still tell of a change to documents that their reader may not read; then they are asked again."""
WALK_STEP = 5_000
MOST_REMEMBERED = 20_000
REFRESH_INTERVAL = "1s"
WRITE_ALIAS = "-write"


class OpenSearchEngine:
    """The index in an OpenSearch cluster.  Safe for threads."""

    name = "opensearch"

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        prefix: str,
        ca: Path | None = None,
        for_writing: bool = False,
        guidance: Callable[[], Guidance] = default_guidance,
        second: SecondStage | None = None,
    ) -> None:
        self._prefix = prefix
        self._guidance = guidance
        self._second = second or SecondStage()
        self._faults = Faults(", ".join(f"{urlsplit(host).hostname}:{urlsplit(host).port or 9200}" for host in hosts))
        self._is_for_readers = not for_writing
        self._patience_s = transport.patience_s(len(hosts))
        self._client = OpenSearch(
            hosts=list(hosts),
            dead_timeout=transport.AVOIDED_S,
            timeout=WRITE_TIMEOUT_S if for_writing else self._patience_s,
            transport_class=transport.PatientTransport,
            max_retries=0,
            retry_on_timeout=len(hosts) > 1 and not for_writing,
            http_compress=False,
            pool_maxsize=MOST_CONNECTIONS,
            ca_certs=str(ca) if ca else None,
        )
        self._bulk = Bulk(self._client, self._faults)
        self._breaker = Breaker(self._probe)
        self._rarities = Rarities(index_kept_s=SPREAD_KEPT_S)
        self._readable_terms: set[tuple[frozenset[str], str]] = set()

    # Reading

    def search(self, request: SearchRequest) -> SearchResult:
        """See `SearchEngine.search`."""
        began = time.perf_counter()
        result = find_loosely(request, self._found)
        return replace(result, took_ms=round((time.perf_counter() - began) * 1000, 2))

    def _found(self, request: SearchRequest, loosely: bool) -> SearchResult:
        asked = self._asked(request, is_loose=loosely)
        if asked.plan.finds_nothing:
            return nothing_found(request, self.name)
        pinned = self._pinned(asked)
        window = self._second.window_of(request, len(pinned))
        best, counted = self._ask_together(asked.body(window), asked.counts_body())
        found = {id_of(hit): hit for hit in best["hits"]["hits"]}
        ranked = [candidate_of(hit, place) for place, hit in enumerate(found.values(), start=window.offset)]
        page = page_of(self._second.stages, window, pinned, ranked, request)
        sources = {name: hit["_source"] for name, hit in found.items() if "_source" in hit}
        if wanted := [candidate.id for candidate in page if candidate.id not in sources]:
            sources |= {hit["_id"]: hit["_source"] for hit in self._ask(asked.texts_body(wanted))["hits"]["hits"]}
        reasons = self._reasons(asked, page) if asked.is_explained else {}
        marker = Marker(asked.plan) if request.with_highlights else None
        hits = tuple(asked.hit(c, sources[c.id], marker, reasons.get(c.id, {})) for c in page if c.id in sources)
        missing = self._missing(asked, marker.seen if marker else ()) if request.with_correction else []
        return SearchResult(
            query=request.text,
            engine=self.name,
            total=counted["hits"]["total"]["value"] + len(pinned),
            hits=hits,
            facets=asked.facets(counted.get("aggregations", {})),
            did_you_mean=self._correction(asked, missing) if missing else None,
            missing_words=corrections.named(asked.words, missing),
            rules=asked.steering.rules,
            page=request.page,
            size=request.size,
        )

    def _asked(self, request: SearchRequest, *, is_loose: bool = False) -> Search:
        guidance = request.guidance or self._guidance()
        return Search(request, plan_of(request, guidance, self._weigh, is_loose=is_loose), self._second)

    def _weigh(self, plan: Plan, viewer: Viewer) -> Plan:
        return self._rarities.weigh(plan, viewer, self)

    def in_index(self, terms: Collection[Term]) -> Mapping[Term, Spread]:
        """See `portal.search.rarity.Counts.in_index`."""
        asked = vectors_body(terms)
        return read_vectors(terms, self._read(lambda: self._client.termvectors(index=self._prefix, body=asked)))

    def in_open(self, tokens: Collection[str], terms: Collection[Term]) -> Mapping[Term, Spread]:
        """See `portal.search.rarity.Counts.in_open`."""
        return read_open(terms, self._ask(open_body(tokens, terms)))

    def _ask(self, body: Json, parameters: Mapping[str, str] | None = None) -> Json:
        answer: Json = self._read(
            lambda: self._client.search(index=self._prefix, body=body, params=dict(parameters or {}))
        )
        return answer

    def _ask_together(self, *bodies: Json) -> list[Json]:
        """Ask several requests at once; one that fails fails all of them."""

        def ask() -> list[Json]:
            answers = self._answers(bodies)
            for answer in answers:
                if "error" in answer:
                    raise error_of(answer)
            return answers

        return self._read(ask)

    def _answers(self, bodies: Iterable[Json]) -> list[Json]:
        """Send several requests at once; each has its answer, or its own error in place of one."""
        lines = [line for body in bodies for line in ({}, body)]
        answers: list[Json] = self._client.msearch(index=self._prefix, body=lines)["responses"]
        return answers

    def _pinned(self, asked: Search) -> list[Candidate]:
        if not asked.steering.pinned or order_of(asked.request) is not None:
            return []
        return asked.pinned(self._ask(asked.pinned_body()))

    def suggest(self, viewer: Viewer, text: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """See `SearchEngine.suggest`."""
        typed = suggestions.read_typed(viewer, text, self._second)
        if typed is None:
            return ()
        query = title_query(viewer, typed)
        found = self._documents(query, suggestions.CANDIDATES, ["kind", "title", "url", "popularity"])
        return suggestions.rank(typed, found, limit)

    def similar(
        self,
        viewer: Viewer,
        text: str,
        kinds: Collection[str] = (),
        exclude: Collection[str] = (),
        limit: int = 5,
    ) -> tuple[Hit, ...]:
        """See `SearchEngine.similar`."""

        def find(plan: Plan) -> list[Found]:
            query = planned_query(plan, viewer)
            if kinds:
                query["bool"]["filter"].append({"terms": {"kind": list(kinds)}})
            query["bool"]["must_not"].append(has_ids(exclude))
            return self._documents(query, limit, [*SHOWN, *TEXTS, *(("internal",) if viewer.is_staff else ())])

        return find_alike(viewer, text, self._guidance(), self._weigh, find)

    def _documents(self, query: Json, size: int, shown: Sequence[str]) -> list[Found]:
        body = {"query": query, "size": size, "_source": shown, "track_total_hits": False}
        hits = self._ask(body)["hits"]["hits"]
        return [(hit["_score"] or 0.0, hit["_id"], hit["_source"]) for hit in hits]

    def correct(self, request: SearchRequest) -> str | None:
        """See `SearchEngine.correct`."""
        asked = self._asked(request)
        return self._correction(asked, self._missing(asked, ()))

    def explain(self, request: SearchRequest, document_id: str) -> Explanation:
        """See `SearchEngine.explain`."""
        asked = self._asked(request, is_loose=is_loose(request, self._found))
        own = has_ids([document_id])

        def find(*filters: Json) -> Json | None:
            body = {"query": {"bool": {"filter": [own, *filters]}}, "size": 1, "_source": ["gone"]}
            hits: list[Json] = self._ask(body)["hits"]["hits"]
            return hits[0] if hits else None

        there = find()
        if there is None:
            return Explanation(id=document_id, presence=Presence.NOT_INDEXED)
        if there.get("_source", {}).get("gone"):
            return Explanation(id=document_id, presence=Presence.WITHDRAWN)
        if find(*rights_of(request.viewer)) is None:
            return Explanation(id=document_id, presence=Presence.NOT_READABLE)
        found = self._reasons(asked, [Candidate(id=document_id, score=0.0)])[document_id]
        fields = matched_fields(found)
        if document_id in asked.steering.hidden:
            return Explanation(id=document_id, presence=Presence.HIDDEN, matched_fields=fields)
        if asked.plan.finds_nothing or find(asked.query()) is None:
            return Explanation(id=document_id, presence=Presence.NO_MATCH, matched_fields=fields)
        kept_out = tuple(name for name, chosen in asked.chosen.items() if find(chosen) is None)
        if kept_out:
            return Explanation(id=document_id, presence=Presence.FILTERED, matched_fields=fields, filters=kept_out)
        pinned = self._pinned(asked)
        refined = self._ask(asked.body(Window(0, REFINED, is_arranged=True)))["hits"]["hits"]
        together = [*pinned, *map(candidate_of, refined)]
        arranged = [*arrange(self._second.stages, together[:FIRST], request), *together[FIRST:]]
        rank = next((place for place, candidate in enumerate(arranged, start=1) if candidate.id == document_id), 0)
        is_refined = rank > 0
        if not is_refined:
            found = self._reasons(asked, [Candidate(id=document_id, score=0.0, is_refined=False)])[document_id]
            rank = self._count_better(asked, found["_score"]) + len(pinned) + 1
        return Explanation(
            id=document_id,
            presence=Presence.FOUND,
            rank=rank if rank <= DEEPEST_HIT else 0,
            score=found["_score"],
            matched_fields=matched_fields(found),
            is_pinned=any(candidate.id == document_id for candidate in pinned),
            is_refined=is_refined,
        )

    def _count_better(self, asked: Search, score: float) -> int:
        """Return how many documents stand before one that is not among the best."""
        query = asked.query(asked.plan.unrefined, with_pinned=False)
        query["bool"]["filter"].extend(asked.chosen.values())
        # Scores are single floats: what differs in the last digit stands on the same rank.
        body = {"query": query, "size": 0, "track_total_hits": True, "min_score": score * (1 + 1e-6)}
        return int(self._ask(body)["hits"]["total"]["value"])

    def _reasons(self, asked: Search, candidates: Sequence[Candidate]) -> dict[str, Json]:
        """Ask what each field adds to the candidates' scores; id → answer."""
        found: dict[str, Json] = {}
        for is_refined in (True, False):
            if ids := [candidate.id for candidate in candidates if candidate.is_refined is is_refined]:
                body = asked.reasons_body(ids, is_refined=is_refined)
                answer = self._ask(body, {"include_named_queries_score": "true"})
                found |= {hit["_id"]: hit for hit in answer["hits"]["hits"]}
        return found

    def health(self) -> EngineHealth:
        """See `SearchEngine.health`."""
        try:
            with self._answering():
                version = self._client.info(params={"request_timeout": self._patience_s})["version"]["number"]
            live = self.live_index()
            if live is None:
                raise IndexMissing(self._faults.no_index())
            with self._answering():
                state = self._client.cluster.health(
                    index=self._own(live), params={"request_timeout": self._patience_s, "timeout": "500ms"}
                )["status"]
            if state == "red":
                raise EngineDown(f"OpenSearch at {self._faults.hosts} is recovering the index {live!r}.")
            return EngineHealth(
                engine=self.name, is_up=True, version=version, live_index=live, documents=self.count(live)
            )
        except EngineError as error:
            return EngineHealth(engine=self.name, is_up=False, detail=str(error))

    def _missing(self, asked: Search, seen: Collection[str]) -> list[TypedWord]:
        return corrections.missing_words(asked.words, lambda terms: self._readable(asked, terms), seen)

    def _readable(self, asked: Search, terms: Collection[str]) -> set[str]:
        fields = fields_of_words(asked.viewer)
        # Most words were asked for before; that a word was readable a while ago is known per set of tokens.
        tokens = asked.viewer.tokens
        known = {term for term in terms if (tokens, term) in self._readable_terms}
        wanted = [term for term in terms if term not in known]
        if not wanted:
            return known
        bodies: list[Json] = []
        for term in wanted:
            ways = [{"term": {NAMES[name]: term}} for name in fields]
            query = {"bool": {"filter": [*rights_of(asked.viewer), {"bool": {"should": ways}}]}}
            bodies.append({"query": query, "size": 0, "terminate_after": 1})
        answers = dict(zip(wanted, self._read(lambda: self._answers(bodies)), strict=True))
        # The node may be too busy for some of them: nobody is told that such a word is missing.
        not_told = {term for term, answer in answers.items() if "error" in answer}
        found = {term for term in wanted if term not in not_told and answers[term]["hits"]["total"]["value"]}
        if len(self._readable_terms) > MOST_REMEMBERED:
            self._readable_terms.clear()
        self._readable_terms.update((tokens, term) for term in found)
        return known | found | not_told

    def _correction(self, asked: Search, missing: Sequence[TypedWord]) -> str | None:
        def near(word: str, distance: int) -> Iterator[str]:
            fuzzy = {"fuzzy": {NAMES[Field.WORDS]: {"value": word, "fuzziness": distance, "transpositions": True}}}
            body = {
                "query": {"bool": {"filter": rights_of(asked.viewer), "must": [fuzzy]}},
                "size": corrections.LOOKED_AT,
                "_source": ["title", *TEXTS],
                "track_total_hits": False,
            }
            for hit in self._ask(body)["hits"]["hits"]:
                yield stored.searched_text(hit["_source"], is_staff=False)

        text = corrections.corrected(asked.words, missing, near, partial(self._readable, asked))
        if text is None:
            return None
        again = self._asked(replace(asked.request, text=text))
        query = again.query()
        query["bool"]["filter"].extend(again.chosen.values())
        body = {"query": query, "size": 0, "terminate_after": 1}
        return text if self._ask(body)["hits"]["total"]["value"] else None

    # The indices

    def create_index(self, name: str) -> None:
        """See `SearchEngine.create_index`."""
        parts = index_body()
        body = {
            "settings": parts["settings"],
            "mappings": {"_meta": {"casebook": self._prefix}, **parts["mappings"]},
            "aliases": {self._own(name) + WRITE_ALIAS: {}},
        }
        with self._answering():
            if self._client.indices.exists(index=self._own(name), params=_admin()):
                raise BadQuery(f"An index {name!r} exists already. Choose another name or drop it first.")
            self._client.indices.create(index=self._own(name), body=body, params=_admin())

    def live_index(self) -> str | None:
        """See `SearchEngine.live_index`."""
        with self._answering():
            try:
                found = self._client.indices.get_alias(name=self._prefix)
            except NotFoundError:
                return None
        return next((name for name in sorted(found)), None)

    def list_indices(self) -> tuple[IndexSummary, ...]:
        """See `SearchEngine.list_indices`."""
        live = self.live_index()
        pattern = f"{self._prefix}-*"
        with self._answering():
            mappings = self._client.indices.get_mapping(index=pattern, params=_admin())
            answer = self._client.indices.stats(index=pattern, metric="store", params=_admin())
        # Another installation's prefix may begin with this one's; the mark in the mapping tells whose an index is.
        own = {
            name for name, data in mappings.items() if data["mappings"].get("_meta", {}).get("casebook") == self._prefix
        }
        return tuple(
            IndexSummary(
                name=name,
                documents=self.count(name),
                bytes=data.get("primaries", {}).get("store", {}).get("size_in_bytes", 0),
                is_live=name == live,
            )
            for name, data in sorted(answer["indices"].items())
            if name in own
        )

    def write(self, index: str, batch: Sequence[Document | Tombstone | Ready]) -> tuple[WriteOutcome, ...]:
        """See `SearchEngine.write`."""
        return self._bulk.write(index, self._own(index) + WRITE_ALIAS, batch)

    def commit(self, index: str) -> None:
        """See `SearchEngine.commit`."""
        with self._answering():
            self._client.indices.refresh(index=self._own(index), params={"request_timeout": ADMIN_TIMEOUT_S})

    def versions(self, index: str) -> Iterator[IndexedVersion]:
        """See `SearchEngine.versions`."""
        body = {"query": {"match_all": {}}, **WITHOUT_STORED, "docvalue_fields": ["id", "gone"], "version": True}
        with self._answering():
            for hit in scan(
                self._client,
                query=body,
                index=self._own(index),
                size=WALK_STEP,
                scroll="5m",
                request_timeout=ADMIN_TIMEOUT_S,
            ):
                gone = hit.get("fields", {}).get("gone", [False])[0]
                yield IndexedVersion(id=id_of(hit), version=hit["_version"], is_gone=bool(gone))

    def count(self, index: str) -> int:
        """See `SearchEngine.count`."""
        with self._answering():
            answer = self._client.count(index=self._own(index), body={"query": {"term": {"gone": False}}})
        return int(answer["count"])

    def swap(self, index: str) -> None:
        """See `SearchEngine.swap`."""
        before = self.live_index()
        actions: list[Json] = []
        if before is not None and before != index:
            actions.append({"remove": {"index": self._own(before), "alias": self._prefix, "must_exist": True}})
        actions.append({"add": {"index": self._own(index), "alias": self._prefix}})
        with self._answering():
            self._client.indices.put_settings(
                index=self._own(index), body={"index": {"refresh_interval": REFRESH_INTERVAL}}, params=_admin()
            )
            self._client.indices.refresh(index=self._own(index), params={"request_timeout": ADMIN_TIMEOUT_S})
            self._client.indices.update_aliases(body={"actions": actions}, params=_admin())

    def drop(self, index: str) -> None:
        """See `SearchEngine.drop`."""
        if index == self.live_index():
            raise BadQuery(f"{index!r} is the live index. Swap to another one before it is dropped.")
        with self._answering():
            self._client.indices.delete(index=self._own(index), params={**_admin(), "ignore_unavailable": "true"})

    def check(self, index: str) -> None:
        """See `SearchEngine.check`: the cluster checks its files itself; a red index is one it could not read."""
        with self._answering():
            state = self._client.cluster.health(
                index=self._own(index), params={"request_timeout": ADMIN_TIMEOUT_S, "timeout": "1s"}
            )["status"]
        if state == "red":
            raise IndexCorrupt(
                f"OpenSearch cannot read the index {index!r} (its state is red). Nothing is lost; "
                "if it does not recover, `casebook index rebuild` makes it again."
            )

    def rest(self) -> None:
        """See `SearchEngine.rest`: between two batches nothing is held."""

    def close(self) -> None:
        """See `SearchEngine.close`."""
        self._breaker.close()
        self._client.close()

    # Names and faults

    def _own(self, name: str) -> str:
        if not re.fullmatch(rf"{re.escape(self._prefix)}-[a-z0-9_-]{{1,99}}", name):
            raise BadQuery(
                f"{name!r} cannot be the name of an index here. "
                f"Let it begin with {self._prefix + '-'!r} and go on with small letters, digits, - and _."
            )
        return name

    def _read(self, ask: Callable[[], Answer]) -> Answer:
        """Ask once, unless the breaker is open."""
        with self._answering():
            return ask()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Translate faults.  For readers the first wait in vain opens the breaker; a writer is never kept away."""
        if self._breaker.is_open:
            raise EngineDown(self._faults.not_asked())
        try:
            yield
        except OpenSearchException as error:
            translated = self._faults.translated(error)
            is_down = isinstance(translated, EngineDown) and not isinstance(translated, IndexMissing)
            if is_down and self._is_for_readers:
                self._breaker.failed()
            raise translated from None

    def _probe(self) -> None:
        """Ask for a number that takes every shard.  Raises `EngineDown` as long as readers would have to wait."""
        try:
            self._client.count(index=self._prefix, params={"request_timeout": transport.READ_TIMEOUT_S})
        except OpenSearchException as error:
            translated = self._faults.translated(error)
            if isinstance(translated, EngineDown) and not isinstance(translated, IndexMissing):
                raise translated from None


def _admin() -> Json:
    return {"request_timeout": ADMIN_TIMEOUT_S}
