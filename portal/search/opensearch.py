"""The engine for production: OpenSearch, any number of nodes, through opensearch-py.

An alias with the installation's prefix names the live index.  Every index has a second alias of its own that writes
must go through, so that a write to a dropped index is refused and never makes a new one without a mapping.  Queries are
built from analysed terms; what people type never reaches a query parser.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, NotFoundError, OpenSearchException, TransportError
from opensearchpy.helpers import scan

from portal.access import Viewer
from portal.search import analysis, corrections, stored, suggestions
from portal.search.document import Document, Tombstone
from portal.search.engine import BadQuery, EngineBusy, EngineDown, EngineError, IndexCorrupt, IndexMissing
from portal.search.facets import (
    FACETS,
    UPDATED,
    Facet,
    age_bounds,
    build_values,
    count_ages,
    period_of,
)
from portal.search.highlight import Marker
from portal.search.query import Query, TypedWord, read_words
from portal.search.ranking import Clause, Field, Plan, Synonyms, build_plan, default_synonyms, labels_of
from portal.search.request import SearchRequest
from portal.search.results import (
    EngineHealth,
    Explanation,
    FacetValue,
    Hit,
    IndexedVersion,
    IndexSummary,
    MatchedField,
    Outcome,
    Presence,
    SearchResult,
    Suggestion,
    WriteOutcome,
)

Json = dict[str, Any]

READ_TIMEOUT_S = 1.5
WRITE_TIMEOUT_S = 60.0
ADMIN_TIMEOUT_S = 30.0
HEALTH_TIMEOUT_S = 2.0
BULK_BYTES = 5_000_000
BULK_DOCUMENTS = 250
WALK_STEP = 5_000
REFINED = 200
MOST_REMEMBERED = 20_000
FAILURES_TO_OPEN = 2
OPEN_FOR_S = 5.0
REFRESH_INTERVAL = "1s"
WRITE_ALIAS = "-write"
CLIENT_ERROR, NOT_FOUND, CONFLICT, TOO_LARGE, TOO_MANY, SERVER_ERROR = 400, 404, 409, 413, 429, 500

_NAMES: Mapping[Field, str] = {
    Field.ALL: "all",
    Field.TITLE: "title",
    Field.LEAD: "first_lines",
    Field.WORDS: "all.words",
    Field.CHARACTERS: "all.characters",
    Field.TITLE_CHARACTERS: "title.characters",
    Field.CODES: "codes",
    Field.INTERNAL: "internal",
}
_SHOWN = [
    "kind", "title", "url", "external_id", "identifiers", "created_at", "updated_at", "published_at", "popularity",
    *(facet.name for facet in FACETS.values() if not facet.is_dates and facet.name != "kind"),
]  # fmt: skip
_TEXTS = ["lead", "body", "sections", "attachments"]
_FIELD_IN_REASON = re.compile(r"(?:field|of) \[([A-Za-z_.]{1,60})\]")


class Breaker:
    """Stops asking a dead engine: after some failures in a row nobody waits, and one caller at a time tries again."""

    def __init__(
        self,
        failures: int = FAILURES_TO_OPEN,
        open_for_s: float = OPEN_FOR_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_for_s = open_for_s
        self._clock = clock
        self._failures = 0
        self._try_again_at = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Go on, or raise `EngineDown` at once."""
        with self._lock:
            if self._failures < self._limit:
                return
            moment = self._clock()
            if moment < self._try_again_at:
                raise EngineDown("OpenSearch did not answer a moment ago; it is asked again in a few seconds.")
            # This caller tries; the others keep failing fast until it knows more.
            self._try_again_at = moment + self._open_for_s

    def succeeded(self) -> None:
        """Note an answer, of whatever kind."""
        self._failures = 0

    def failed(self) -> None:
        """Note that nobody answered."""
        with self._lock:
            self._failures += 1
            self._try_again_at = self._clock() + self._open_for_s


@dataclass(slots=True)
class _Chunk:
    """Some documents of a batch as lines of a bulk request."""

    items: list[Document | Tombstone] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


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
        synonyms: Callable[[], Synonyms] = default_synonyms,
    ) -> None:
        self._prefix = prefix
        self._synonyms = synonyms
        self._hosts = ", ".join(f"{urlsplit(host).hostname}:{urlsplit(host).port or 9200}" for host in hosts)
        several = len(hosts) > 1
        self._client = OpenSearch(
            hosts=list(hosts),
            timeout=WRITE_TIMEOUT_S if for_writing else READ_TIMEOUT_S,
            # A second address is worth one try; more would pile up on a cluster in trouble.
            max_retries=1 if several else 0,
            retry_on_timeout=several and not for_writing,
            http_compress=False,
            maxsize=16,
            ca_certs=str(ca) if ca else None,
        )
        self._breaker = Breaker()
        self._readable_terms: set[tuple[frozenset[str], str]] = set()

    # Reading

    def search(self, request: SearchRequest) -> SearchResult:
        """See `SearchEngine.search`."""
        began = time.perf_counter()
        asked = _Search(request, self._synonyms())
        if asked.plan.finds_nothing:
            return SearchResult(
                query=request.text, engine=self.name, total=0, hits=(), page=request.page, size=request.size
            )
        body = asked.body()
        parameters = {"include_named_queries_score": "true"} if asked.is_explained else {}
        answer = self._read(lambda: self._client.search(index=self._prefix, body=body, params=parameters))
        marker = Marker(asked.plan) if request.with_highlights else None
        hits = tuple(asked.hit(found, marker) for found in answer["hits"]["hits"])
        missing = self._missing(asked, marker.seen if marker else ()) if request.with_correction else []
        return SearchResult(
            query=request.text,
            engine=self.name,
            total=answer["hits"]["total"]["value"],
            hits=hits,
            facets=asked.facets(answer.get("aggregations", {})),
            did_you_mean=self._correction(asked, missing) if missing else None,
            missing_words=tuple(word.text for word in missing),
            page=request.page,
            size=request.size,
            took_ms=round((time.perf_counter() - began) * 1000, 2),
        )

    def suggest(self, viewer: Viewer, text: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """See `SearchEngine.suggest`."""
        typed = suggestions.read_typed(text)
        if typed is None:
            return ()
        ways: list[Json] = [_constant({"prefix": {"title_start": {"value": typed.start}}}, 4.0)]
        together: list[Json] = [{"term": {"title_words": word}} for word in typed.words]
        if typed.prefix:
            together.append({"prefix": {"title_words": {"value": typed.prefix}}})
        ways.append(_constant({"bool": {"filter": together}}, 1.0))
        if typed.pinyin:
            ways.append(_constant({"prefix": {"pinyin": {"value": typed.pinyin}}}, 0.5))
        body = {
            "query": {"bool": {"filter": [*_rights(viewer)], "should": ways, "minimum_should_match": 1}},
            "size": suggestions.CANDIDATES,
            "_source": ["kind", "title", "url", "popularity"],
            "track_total_hits": False,
        }
        answer = self._read(lambda: self._client.search(index=self._prefix, body=body))
        found = [(hit["_score"] or 0.0, hit["_id"], hit["_source"]) for hit in answer["hits"]["hits"]]
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
        plan = build_plan(read_words(text), is_staff=viewer.is_staff, synonyms=self._synonyms())
        if not plan.matching:
            return ()
        query = _planned(plan, viewer)
        if kinds:
            query["bool"]["filter"].append({"terms": {"kind": list(kinds)}})
        if exclude:
            query["bool"]["must_not"].append({"ids": {"values": list(exclude)}})
        body = {
            "query": query,
            "size": limit,
            "_source": [*_SHOWN, *_TEXTS, *(("internal",) if viewer.is_staff else ())],
            "track_total_hits": False,
        }
        answer = self._read(lambda: self._client.search(index=self._prefix, body=body))
        marker = Marker(plan)
        return tuple(
            stored.build_hit(
                hit["_id"], hit["_source"], score=hit["_score"] or 0.0, marker=marker, is_staff=viewer.is_staff
            )
            for hit in answer["hits"]["hits"]
        )

    def correct(self, request: SearchRequest) -> str | None:
        """See `SearchEngine.correct`."""
        asked = _Search(request, self._synonyms())
        return self._correction(asked, self._missing(asked, ()))

    def explain(self, request: SearchRequest, document_id: str) -> Explanation:
        """See `SearchEngine.explain`."""
        asked = _Search(replace(request, explain=True), self._synonyms())
        own: Json = {"ids": {"values": [document_id]}}

        def find(*filters: Json) -> Json | None:
            body = {"query": {"bool": {"filter": [own, *filters]}}, "size": 1, "_source": ["gone"]}
            answer = self._read(lambda: self._client.search(index=self._prefix, body=body))
            hits: list[Json] = answer["hits"]["hits"]
            return hits[0] if hits else None

        there = find()
        if there is None:
            return Explanation(id=document_id, presence=Presence.NOT_INDEXED)
        if there.get("_source", {}).get("gone"):
            return Explanation(id=document_id, presence=Presence.WITHDRAWN)
        if find(*_rights(request.viewer)) is None:
            return Explanation(id=document_id, presence=Presence.NOT_READABLE)
        query = asked.query()
        if asked.plan.finds_nothing or find(query) is None:
            return Explanation(id=document_id, presence=Presence.NO_MATCH)
        scored = self._scored(query, own)
        kept_out = tuple(name for name, chosen in asked.chosen.items() if find(chosen) is None)
        if kept_out:
            return Explanation(
                id=document_id, presence=Presence.FILTERED, matched_fields=_matched(scored), filters=kept_out
            )
        score = float(scored["_score"])
        query["bool"]["filter"].extend(asked.chosen.values())
        # Scores are single floats: what differs in the last digit stands on the same rank.
        better = {"query": query, "size": 0, "track_total_hits": True, "min_score": score * (1 + 1e-6)}
        answer = self._read(lambda: self._client.search(index=self._prefix, body=better))
        return Explanation(
            id=document_id,
            presence=Presence.FOUND,
            rank=answer["hits"]["total"]["value"] + 1,
            score=score,
            matched_fields=_matched(scored),
        )

    def _scored(self, query: Json, own: Json) -> Json:
        body = {"query": {"bool": {"must": [query], "filter": [own]}}, "size": 1, "_source": False}
        parameters = {"include_named_queries_score": "true"}
        answer = self._read(lambda: self._client.search(index=self._prefix, body=body, params=parameters))
        hits: list[Json] = answer["hits"]["hits"]
        return hits[0] if hits else {"_score": 0.0}

    def health(self) -> EngineHealth:
        """See `SearchEngine.health`."""
        try:
            with self._answering():
                version = self._client.info(params={"request_timeout": HEALTH_TIMEOUT_S})["version"]["number"]
            live = self.live_index()
            if live is None:
                raise IndexMissing(self._no_index())
            with self._answering():
                state = self._client.cluster.health(
                    index=self._own(live), params={"request_timeout": HEALTH_TIMEOUT_S, "timeout": "1s"}
                )["status"]
            if state == "red":
                raise EngineDown(f"OpenSearch at {self._hosts} is recovering the index {live!r}.")
            return EngineHealth(
                engine=self.name, is_up=True, version=version, live_index=live, documents=self.count(live)
            )
        except EngineError as error:
            return EngineHealth(engine=self.name, is_up=False, detail=str(error))

    def _missing(self, asked: "_Search", seen: Collection[str]) -> list[TypedWord]:
        return corrections.missing_words(asked.words, lambda terms: self._readable(asked, terms), seen)

    def _readable(self, asked: "_Search", terms: Collection[str]) -> set[str]:
        fields = [Field.ALL, Field.CODES, Field.CHARACTERS]
        if asked.viewer.is_staff:
            fields.append(Field.INTERNAL)
        # Most words were asked for before; that a word was readable a while ago is known per set of tokens.
        tokens = asked.viewer.tokens
        known = {term for term in terms if (tokens, term) in self._readable_terms}
        wanted = [term for term in terms if term not in known]
        if not wanted:
            return known
        lines: list[Json] = []
        for term in wanted:
            ways = [{"term": {_NAMES[name]: term}} for name in fields]
            query = {"bool": {"filter": [*_rights(asked.viewer), {"bool": {"should": ways}}]}}
            lines += [{}, {"query": query, "size": 0, "terminate_after": 1}]
        answer = self._read(lambda: self._client.msearch(index=self._prefix, body=lines))
        found = {
            term
            for term, result in zip(wanted, answer["responses"], strict=True)
            if result.get("hits", {}).get("total", {}).get("value")
        }
        if len(self._readable_terms) > MOST_REMEMBERED:
            self._readable_terms.clear()
        self._readable_terms.update((tokens, term) for term in found)
        return known | found

    def _correction(self, asked: "_Search", missing: Sequence[TypedWord]) -> str | None:
        def near(word: str, distance: int) -> Iterator[str]:
            fuzzy = {"fuzzy": {_NAMES[Field.WORDS]: {"value": word, "fuzziness": distance, "transpositions": True}}}
            body = {
                "query": {"bool": {"filter": _rights(asked.viewer), "must": [fuzzy]}},
                "size": corrections.LOOKED_AT,
                "_source": ["title", *_TEXTS],
                "track_total_hits": False,
            }
            answer = self._read(lambda: self._client.search(index=self._prefix, body=body))
            for hit in answer["hits"]["hits"]:
                yield stored.searched_text(hit["_source"], is_staff=False)

        text = corrections.corrected(asked.request.text, missing, near)
        if text is None:
            return None
        again = _Search(replace(asked.request, text=text), ())
        query = again.query()
        query["bool"]["filter"].extend(again.chosen.values())
        body = {"query": query, "size": 0, "terminate_after": 1}
        answer = self._read(lambda: self._client.search(index=self._prefix, body=body))
        return text if answer["hits"]["total"]["value"] else None

    # The indices

    def create_index(self, name: str) -> None:
        """See `SearchEngine.create_index`."""
        parts = _index_body()
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

    def write(self, index: str, batch: Sequence[Document | Tombstone]) -> tuple[WriteOutcome, ...]:
        """See `SearchEngine.write`."""
        outcomes: list[WriteOutcome] = []
        sent: Future[list[WriteOutcome]] | None = None
        with ThreadPoolExecutor(max_workers=1) as sender:
            # While the cluster works on one chunk the next is made; never two at once, so that order is kept.
            for chunk in _chunks(batch):
                if sent is not None:
                    outcomes += sent.result()
                sent = sender.submit(self._send, index, chunk)
            if sent is not None:
                outcomes += sent.result()
        return tuple(outcomes)

    def _send(self, index: str, chunk: _Chunk) -> list[WriteOutcome]:
        """Send one bulk request; a request that is refused whole is halved until the document at fault stands alone."""
        alias = self._own(index) + WRITE_ALIAS
        try:
            answer = self._client.bulk(
                body=b"".join(chunk.lines),
                index=alias,
                params={"require_alias": "true", "request_timeout": WRITE_TIMEOUT_S},
            )
        except NoConnection as error:
            raise self._down(error) from None
        except TransportError as error:
            status = error.status_code
            if status == TOO_MANY:
                return [_outcome(item, Outcome.RETRY, _kind_of(error)) for item in chunk.items]
            if status in (CLIENT_ERROR, TOO_LARGE):
                if len(chunk.items) == 1:
                    return [_outcome(chunk.items[0], Outcome.REFUSED, _kind_of(error))]
                half = len(chunk.items) // 2
                first = _Chunk(chunk.items[:half], chunk.lines[:half])
                second = _Chunk(chunk.items[half:], chunk.lines[half:])
                return self._send(index, first) + self._send(index, second)
            raise self._translated(error) from None
        found = []
        for item, result in zip(chunk.items, answer["items"], strict=True):
            found.append(self._one_outcome(index, item, next(iter(result.values()))))
        return found

    def _one_outcome(self, index: str, item: Document | Tombstone, result: Json) -> WriteOutcome:
        status = int(result.get("status", SERVER_ERROR))
        error = result.get("error") or {}
        kind = str(error.get("type", ""))
        if status < CLIENT_ERROR:
            return _outcome(item, Outcome.DONE)
        if status == CONFLICT:
            return _outcome(item, Outcome.SUPERSEDED)
        if status == NOT_FOUND:
            raise IndexMissing(f"There is no search index {index!r} in OpenSearch to write to.")
        if status == TOO_MANY or status >= SERVER_ERROR or kind == "cluster_block_exception":
            return _outcome(item, Outcome.RETRY, kind)
        # The reason quotes the document; only the field's name is taken from it.
        place = _FIELD_IN_REASON.search(str(error.get("reason", "")))
        return _outcome(item, Outcome.REFUSED, f"{kind} in {place[1]}" if place else kind)

    def commit(self, index: str) -> None:
        """See `SearchEngine.commit`."""
        with self._answering():
            self._client.indices.refresh(index=self._own(index), params={"request_timeout": ADMIN_TIMEOUT_S})

    def versions(self, index: str) -> Iterator[IndexedVersion]:
        """See `SearchEngine.versions`."""
        body = {"query": {"match_all": {}}, "_source": False, "docvalue_fields": ["gone"], "version": True}
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
                yield IndexedVersion(id=hit["_id"], version=hit["_version"], is_gone=bool(gone))

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

    def close(self) -> None:
        """See `SearchEngine.close`."""
        self._client.close()

    # Names and faults

    def _own(self, name: str) -> str:
        if not re.fullmatch(rf"{re.escape(self._prefix)}-[a-z0-9_-]{{1,99}}", name):
            raise BadQuery(
                f"{name!r} cannot be the name of an index here. "
                f"Let it begin with {self._prefix + '-'!r} and go on with small letters, digits, - and _."
            )
        return name

    def _no_index(self) -> str:
        return f"OpenSearch at {self._hosts} holds no search index yet. `casebook index rebuild` makes one."

    def _read(self, ask: Callable[[], Any]) -> Json:
        """Ask once, unless the breaker is open; note how it went."""
        self._breaker.enter()
        try:
            answer: Json = ask()
        except OpenSearchException as error:
            translated = self._translated(error)
            if isinstance(translated, EngineDown) and not isinstance(translated, IndexMissing):
                self._breaker.failed()
            else:
                self._breaker.succeeded()
            raise translated from None
        self._breaker.succeeded()
        return answer

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OpenSearchException as error:
            raise self._translated(error) from None

    def _down(self, error: NoConnection) -> EngineDown:
        if isinstance(error, ConnectionTimeout):
            return EngineDown(f"OpenSearch at {self._hosts} did not answer in time.")
        return EngineDown(f"OpenSearch cannot be reached at {self._hosts}. Is it running, and is the address right?")

    def _translated(self, error: OpenSearchException) -> EngineError:
        if isinstance(error, NoConnection):
            return self._down(error)
        if not isinstance(error, TransportError) or not isinstance(error.status_code, int):
            return EngineDown(f"OpenSearch at {self._hosts} gave no usable answer ({type(error).__name__}).")
        status, kind = error.status_code, _kind_of(error)
        if status == NOT_FOUND or kind == "index_closed_exception":
            return IndexMissing(self._no_index())
        if status == TOO_MANY:
            return EngineBusy(f"OpenSearch at {self._hosts} refuses work for the moment ({kind}).")
        if status in (401, 403):
            return EngineDown(
                f"OpenSearch at {self._hosts} refuses the user ({kind or status}). "
                "Check the name and password in CASEBOOK_SEARCH_URL."
            )
        if status >= SERVER_ERROR or status == 408:
            return EngineDown(f"OpenSearch at {self._hosts} cannot answer ({kind or status}).")
        return BadQuery(f"OpenSearch refused a query ({kind or status}).")


class _Search:
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
        query = _planned(plan or self.plan, self.viewer, is_named=self.is_explained)
        for name, values in self.words.operators.items():
            if name == "id":
                keys = [stored.identifier_key(value) for value in values]
                query["bool"]["filter"].append({"terms": {"identifier_keys": keys}})
            else:
                query["bool"]["filter"].append({"terms": {name: list(values)}})
        return query

    def body(self) -> Json:
        request = self.request
        shown = list(_SHOWN)
        if request.with_highlights:
            shown += [*_TEXTS, "internal"] if self.viewer.is_staff else _TEXTS
        order = {"newest": "updated_at", "popular": "popularity"}.get(request.effective_sort)
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
            refined = {"bool": {"should": [_clause(clause) for clause in self.plan.refining]}}
            body["rescore"] = {"window_size": REFINED, "query": {"rescore_query": refined}}
        if request.with_facets:
            body["aggs"] = self._aggregations()
        return body

    def hit(self, found: Json, marker: Marker | None) -> Hit:
        return stored.build_hit(
            found["_id"],
            found["_source"],
            score=found.get("_score") or 0.0,
            marker=marker,
            is_staff=self.viewer.is_staff,
            matched_fields=_matched(found) if self.is_explained else (),
        )

    def facets(self, answer: Json) -> dict[str, tuple[FacetValue, ...]]:
        if not self.request.with_facets:
            return {}
        return {
            facet.name: build_values(
                facet,
                _counts(facet, _counted(answer, facet.name)),
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
        ranges = [{"to": bounds[0]}, *({"from": a, "to": b} for a, b in pairwise(bounds))]
        return {"date_range": {"field": "updated_at", "ranges": [*ranges, {"from": bounds[-1]}]}}

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


# Queries


def _rights(viewer: Viewer) -> list[Json]:
    """Return what every query begins with.  An empty list of tokens matches nothing."""
    return [{"terms": {"readers": sorted(viewer.tokens)}}, {"term": {"gone": False}}]


def _constant(query: Json, score: float) -> Json:
    return {"constant_score": {"filter": query, "boost": score}}


def _clause(clause: Clause) -> Json:
    name = _NAMES[clause.field]
    if clause.weight == 0 and not clause.is_phrase:
        return {"terms": {name: list(clause.terms)}}
    # The terms are analysed already; the search analyzer only takes them apart at the spaces.
    words: Json = {"query": " ".join(clause.terms), "analyzer": "whitespace", "boost": clause.weight}
    if clause.is_phrase:
        return {"match_phrase": {name: words}}
    return {"match": {name: words}}


def _planned(plan: Plan, viewer: Viewer, *, is_named: bool = False) -> Json:
    filters = _rights(viewer)
    if plan.finds_nothing:
        filters.append({"match_none": {}})
    filters += [{"bool": {"should": [_clause(c) for c in group], "minimum_should_match": 1}} for group in plan.required]
    matching = _named(plan.matching, "matching") if is_named else [_clause(c) for c in plan.matching]
    added = (*plan.scoring, *plan.refining)
    scoring = _named(added, "scoring") if is_named else [_clause(c) for c in added]
    parts: Json = {"filter": filters, "must_not": [_clause(c) for c in plan.excluded], "should": scoring}
    if matching:
        parts["must"] = [{"bool": {"should": matching, "minimum_should_match": 1}}]
        parts["minimum_should_match"] = 0
    return {"bool": parts}


def _named(clauses: Iterable[Clause], group: str) -> list[Json]:
    """Return each term as a clause of its own, named by group, field and term, so that its share can be told."""
    parts = []
    for number, clause in enumerate(clauses):
        for label in labels_of(clause):
            alone = clause if clause.is_phrase else replace(clause, terms=(label,))
            name = f"{group}{number} {clause.field.value} {label}"
            parts.append({"bool": {"should": [_clause(alone)], "minimum_should_match": 1, "_name": name}})
    return parts


def _matched(found: Json) -> tuple[MatchedField, ...]:
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


def _counts(facet: Facet, answer: Json) -> dict[str, int]:
    buckets = answer["buckets"]
    if facet.is_dates:
        return count_ages([bucket["doc_count"] for bucket in buckets]) if buckets else {}
    return {bucket["key"]: bucket["doc_count"] for bucket in buckets}


# Documents


def _chunks(batch: Sequence[Document | Tombstone]) -> Iterator[_Chunk]:
    chunk = _Chunk()
    for item in batch:
        lines = _bulk_lines(item)
        if chunk.items and (chunk.size + len(lines) > BULK_BYTES or len(chunk.items) >= BULK_DOCUMENTS):
            yield chunk
            chunk = _Chunk()
        chunk.items.append(item)
        chunk.lines.append(lines)
        chunk.size += len(lines)
    if chunk.items:
        yield chunk


def _bulk_lines(item: Document | Tombstone) -> bytes:
    action = {"index": {"_id": item.id, "version": item.version, "version_type": "external_gte"}}
    return b"%s\n%s\n" % (stored.written(action), stored.written(_source(item)))


def _source(item: Document | Tombstone) -> Json:
    if isinstance(item, Tombstone):
        return {"id": item.id, "gone": True}
    source = stored.stored_fields(item)
    folded = analysis.fold("\n".join(stored.texts_of(item)))
    source |= {
        "id": item.id,
        "gone": False,
        "readers": sorted(item.readers),
        "first_lines": stored.lead_of(item),
        "codes": " ".join(stored.codes_of(item, folded)),
        "identifier_keys": stored.identifiers_of(item),
        "title_start": stored.title_key(item.title),
        "title_words": " ".join(stored.title_words(item.title)),
    }
    if pinyin := stored.pinyin_of(item.title):
        source["pinyin"] = list(pinyin)
    return source


def _outcome(item: Document | Tombstone, outcome: Outcome, reason: str = "") -> WriteOutcome:
    return WriteOutcome(id=item.id, version=item.version, outcome=outcome, reason=reason)


def _kind_of(error: TransportError) -> str:
    info = error.info
    found = info.get("error") if isinstance(info, dict) else None
    if isinstance(found, dict):
        causes = found.get("root_cause") or [found]
        return str(causes[0].get("type") or found.get("type", ""))
    return ""


def _admin() -> Json:
    return {"request_timeout": ADMIN_TIMEOUT_S}


@lru_cache(maxsize=1)
def _index_body() -> Json:
    """Return settings and mapping with the folding table put in: each index carries its own copy."""
    settings: Json = json.loads((analysis.TABLES / "settings.json").read_text(encoding="utf-8"))
    mapping: Json = json.loads((analysis.TABLES / "mapping.json").read_text(encoding="utf-8"))
    rules = (analysis.TABLES / "fold.txt").read_text(encoding="utf-8").splitlines()
    settings["analysis"]["char_filter"]["fold"]["mappings"] = rules
    return {"settings": settings, "mappings": mapping}
