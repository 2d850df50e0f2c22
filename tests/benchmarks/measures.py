"""What is measured, on one installation with one engine after the other.  Each function adds its rows to the table."""

from __future__ import annotations

import http
import itertools
import json
import resource
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import tantivy
from opensearchpy import OpenSearch, helpers
from sqlalchemy import select
from tantivy import Occur, Query

from indexer.documents import build_batch
from portal.access import Role, viewer_for
from portal.app import create_app
from portal.extensions import db
from portal.outbox import OutboxRow
from portal.search import analysis
from portal.search.document import Document
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.opensearch.documents import source_of
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.opensearch.queries import rights_of
from portal.search.ranking import Field
from portal.search.request import SearchRequest
from portal.settings import Settings
from tests.benchmarks.table import Table, percentile
from tests.installation import PASSWORD, Installation, pending, wait_for

WARM_UP = 20
READERS = 32
HELPER_DOCUMENTS = 30_000
BULK_LINES = 500
AGENT = viewer_for(Role.AGENT, user_id=2)
GOALS = {
    "articles/s": 500.0,
    "records/s": 1000.0,
    "found embedded": 500.0,
    "found opensearch": 1500.0,
    "rebuild/s": 5000.0,
    "of the helper": 0.8,
    "engine ms": 10.0,
    "times multi_match": 2.0,
    "beyond ms": 10.0,
    "web MB": 200.0,
    "times bare": 4.0,
    "times the text": 1.5,
    "searches/s": 150.0,
    "readers ms": 300.0,
    "suggestions/s": 400.0,
    "suggestion ms": 30.0,
    "times at a tenth": 3.0,
}


def imports(
    table: Table, place: Installation, token: str, file: Path, kind: str, *, name: str, goal: float | None = None
) -> None:
    """Take one file in while the worker indexes beside it, and wait for the worker."""
    before = _spent_by_commands()
    report = place.report("import", kind, str(file), "--source", file.stem, codes=(0, 1))
    spent_s = _spent_by_commands() - before - _start_s(place)
    behind_s = place.wait_until_indexed(token)
    rate = report["lines"] / max(report["seconds"], 0.01)
    what = f"import {name}, {report['lines']:,} lines, indexed meanwhile"
    if goal is None:
        table.add(what, f"{rate:,.0f}/s")
    else:
        table.at_least(what, rate, goal, "/s")
    table.add(f"import {name}, per second of processor time", f"{report['lines'] / max(spent_s, 0.01):,.0f}")
    if report["refused_count"]:
        table.add(f"import {name}, refused", str(report["refused_count"]), "0", is_met=False)
    table.add(
        f"import {name}, index behind at the end", f"{report['pending']:,} documents, {behind_s:.1f} s until equal"
    )


def _spent_by_commands() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@cache
def _start_s(place: Installation) -> float:
    """Return the processor time that any command takes before it begins."""
    before = _spent_by_commands()
    place.run("user", "list")
    return _spent_by_commands() - before


def findable_meanwhile(
    table: Table, place: Installation, token: str, file: Path, lines: int, *, engine: str, count: int
) -> None:
    """Measure the same while a file is being imported: fresh single saves overtake bulk work."""
    importing = place.launch(
        "import", "articles", str(file), "--source", file.stem, "--json", log=file.with_suffix(".log")
    )
    client = place.client(token)
    wait_for(lambda: pending(client) > 0, timeout_s=60)
    findable(table, place, token, engine=engine, count=count, during=f", while {lines:,} articles are imported")
    left = pending(client)
    client.close()
    table.add(
        f"{engine}:   was it still importing or indexing at the end", "yes" if importing.is_running or left else "no"
    )
    wait_for(lambda: not importing.is_running, timeout_s=1800)
    place.wait_until_indexed(token)


def findable(table: Table, place: Installation, token: str, *, engine: str, count: int, during: str = "") -> None:
    """Publish articles one by one, and ask for each until a search finds it."""
    client = place.client(token)
    took = []
    for number in range(count):
        # Saves come at any moment of the engine's refresh interval.
        time.sleep(0.05 * (number % 20))
        article = {"kind": "faq", "title": f"Findable {secrets.token_hex(4)}", "body": "Soon.", "state": "published"}
        saved = client.ask("POST", "/api/v1/articles", article)
        assert saved.status == http.HTTPStatus.CREATED, saved.body
        began = time.perf_counter()
        wanted = f"article:{saved.json['id']}"
        wait_for(lambda wanted=wanted: _finds(client, wanted), timeout_s=30, pause_s=0.02)  # type: ignore[misc]
        took.append((time.perf_counter() - began) * 1000)
    client.close()
    table.spread(f"{engine}: saved → findable{during}", took, " ms", p95=GOALS[f"found {engine}"])


def _finds(client: Any, document_id: str) -> bool:
    answer = client.ask("GET", "/api/v1/search", q=f"id:{document_id}", size=1).json
    return bool(not answer["degraded"] and answer["total"] == 1)


def rebuild(table: Table, place: Installation, *, engine: str, goal: float | None) -> float:
    """Build the whole index anew, by the worker or, where it may, by the command; the rate."""
    start_s = _start_s(place)
    before = place.processor_s("worker") + _spent_by_commands()
    report = place.report("index", "rebuild")
    spent_s = place.processor_s("worker") + _spent_by_commands() - before - start_s
    rate = float(report["documents"] / max(report["seconds"], 0.01))
    what = f"{engine}: full rebuild from SQL, {report['documents']:,} documents"
    if goal is None:
        table.add(what, f"{rate:,.0f}/s")
    else:
        table.at_least(what, rate, goal, "/s")
    table.add(f"{engine}:   per second of our processor time", f"{report['documents'] / max(spent_s, 0.01):,.0f}")
    return rate


def embedded_queries(table: Table, folder: Path, queries: Sequence[str]) -> None:
    """Ask the embedded engine itself, with and without what costs most."""
    engine = EmbeddedEngine(folder)
    documents = engine.health().documents
    for text in queries[:WARM_UP]:
        engine.search(SearchRequest(viewer=AGENT, text=text))
    whole, spent_ms = _asked(queries, partial(_request, SearchRequest), engine)
    what = f"embedded: query, facets and highlights, {documents:,} documents"
    table.spread(what, whole, " ms", p95=GOALS["engine ms"])
    table.spread("embedded:   processor time in it", spent_ms, " ms")
    for name, parts in (
        ("without facets", partial(SearchRequest, with_facets=False)),
        ("without highlights", partial(SearchRequest, with_highlights=False)),
        ("without corrections", partial(SearchRequest, with_correction=False)),
        ("hits alone", partial(SearchRequest, with_facets=False, with_highlights=False, with_correction=False)),
    ):
        _, spent_ms = _asked(queries, partial(_request, parts), engine)
        table.spread(f"embedded:   {name}, processor time", spent_ms, " ms")
    engine.close()


def against_bare_tantivy(table: Table, folder: Path, queries: Sequence[str]) -> None:
    """Ask ours, and side by side the library alone for the ten best of the same words in one field, nothing else."""
    engine = EmbeddedEngine(folder)
    name = engine.live_index()
    index = tantivy.Index.open(str(folder / str(name)))
    searcher = index.searcher()
    field = Field.ALL.value

    def ask_ours(text: str) -> None:
        engine.search(SearchRequest(viewer=AGENT, text=text))

    def ask_bare(text: str) -> None:
        words = [(Occur.Should, Query.term_query(index.schema, field, term)) for term in analysis.terms(text)]
        searcher.search(Query.boolean_query(words), 10, count=False)

    both = [(_timed(ask_ours, text), _timed(ask_bare, text)) for text in [*queries[:WARM_UP], *queries]][WARM_UP:]
    engine.close()
    table.spread("embedded:   bare tantivy, ten hits of the same words", [bare.wall_ms for _, bare in both], " ms")
    for what, of in (("p95", _Took.wall), ("processor time, p95", _Took.processor)):
        ratio = percentile([of(ours) for ours, _ in both], 95) / percentile([of(bare) for _, bare in both], 95)
        table.at_most(f"embedded:   ours against bare tantivy, {what}", ratio, GOALS["times bare"], " ×")


@dataclass(frozen=True, slots=True)
class _Took:
    wall_ms: float
    processor_ms: float

    def wall(self) -> float:
        return self.wall_ms

    def processor(self) -> float:
        return self.processor_ms


def _timed(ask: Callable[[str], None], text: str) -> _Took:
    began, spent = time.perf_counter(), time.process_time()
    ask(text)
    return _Took((time.perf_counter() - began) * 1000, (time.process_time() - spent) * 1000)


def size(table: Table, folder: Path, texts_bytes: int) -> None:
    """Compare the live index with the text that was imported."""
    engine = EmbeddedEngine(folder)
    [live] = [index for index in engine.list_indices() if index.is_live]
    engine.close()
    what = f"embedded: index of {live.bytes / 1e6:.0f} MB against {texts_bytes / 1e6:.0f} MB of text"
    table.at_most(what, live.bytes / texts_bytes, GOALS["times the text"], " ×")


def readers(table: Table, place: Installation, token: str, queries: Sequence[str], *, seconds: float) -> None:
    """Let 32 readers ask at once, each its next question as soon as the last one is answered."""
    rate, took, failed = _asked_by_many(place, token, "/api/v1/search", queries, seconds)
    table.at_least(f"embedded: {READERS} readers at once, searches", rate, GOALS["searches/s"], "/s")
    table.spread("embedded:   each of them", took, " ms", p95=GOALS["readers ms"])
    table.at_most("embedded:   failures", failed, 0, "")
    started = [words[: 2 + number % 6] for number, words in enumerate(queries)]
    rate, took, failed = _asked_by_many(place, token, "/api/v1/suggest", started, seconds)
    table.at_least(f"embedded: {READERS} readers at once, suggestions", rate, GOALS["suggestions/s"], "/s")
    table.spread("embedded:   each of them", took, " ms")
    table.at_most("embedded:   failures", failed, 0, "")


def suggestions(table: Table, folder: Path, queries: Sequence[str]) -> None:
    """Ask the engine itself for what readers see while they type."""
    engine = EmbeddedEngine(folder)
    took = []
    for number, words in enumerate([*queries[:WARM_UP], *queries]):
        began = time.perf_counter()
        engine.suggest(AGENT, words[: 2 + number % 6])
        took.append((time.perf_counter() - began) * 1000)
    engine.close()
    table.spread("embedded: a suggestion", took[WARM_UP:], " ms", p95=GOALS["suggestion ms"])


def _asked_by_many(
    place: Installation, token: str, path: str, queries: Sequence[str], seconds: float
) -> tuple[float, list[float], int]:
    """Return answers a second, their milliseconds, and how many were no good answer."""
    until = time.monotonic() + seconds

    def read(reader: int) -> tuple[list[float], int]:
        client, failed = place.client(token), 0
        took: list[float] = []
        for number in itertools.count(reader * 7):
            if time.monotonic() > until:
                client.close()
                return took, failed
            try:
                answer = client.ask("GET", path, q=queries[number % len(queries)])
            except OSError:
                failed += 1
                continue
            took.append(answer.ms)
            failed += answer.status != http.HTTPStatus.OK or bool(answer.json.get("degraded"))
        raise AssertionError

    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=READERS) as threads:
        answers = list(threads.map(read, range(READERS)))
    all_took = [ms for took, _ in answers for ms in took]
    return len(all_took) / (time.monotonic() - began), all_took, sum(failed for _, failed in answers)


def _request(make: Callable[..., SearchRequest], text: str) -> SearchRequest:
    return make(viewer=AGENT, text=text)


def _asked(
    queries: Sequence[str], ask: Callable[[str], SearchRequest], engine: SearchEngine
) -> tuple[list[float], list[float]]:
    """Return, for each query, the milliseconds by the clock and of the processor."""
    took, spent = [], []
    for text in queries:
        before = time.process_time()
        took.append(_took_ms(engine.search, ask(text)))
        spent.append((time.process_time() - before) * 1000)
    return took, spent


def _took_ms(ask: Callable[..., object], *asked: object) -> float:
    began = time.perf_counter()
    ask(*asked)
    return (time.perf_counter() - began) * 1000


def opensearch_queries(table: Table, url: str, prefix: str, queries: Sequence[str]) -> None:
    """Ask OpenSearch our query and, side by side, what most products would ask: one multi_match, the same facets."""
    client = OpenSearch(hosts=[url], timeout=30)
    engine = OpenSearchEngine(hosts=[url], prefix=prefix)
    for round_of in (queries[:WARM_UP], queries):
        ours, bare, whole = [], [], []
        for text in round_of:
            # Of another minute than the whole answer's, which would come from the node's cache else.
            request = SearchRequest(viewer=AGENT, text=text, now=datetime.now(UTC))
            asked = engine._asked(request)
            window, counts = engine._second.window_of(request, 0), asked.counts_body()
            ours.append(_took_ms(engine._ask_together, asked.body(window), counts))
            words = {"multi_match": {"query": text, "fields": ["searched_title^3", "all"]}}
            plain = {"bool": {"must": [words], "filter": rights_of(AGENT)}}
            body = counts | {"query": plain, "size": window.size, "_source": False}
            bare.append(_took_ms(partial(client.search, index=prefix, body=body)))
            whole.append(_took_ms(engine.search, SearchRequest(viewer=AGENT, text=text)))
    documents = engine.health().documents
    table.spread(f"opensearch: query, facets and highlights, {documents:,} documents", whole, " ms")
    table.spread("opensearch:   our query on the node, with facets", ours, " ms")
    table.spread("opensearch:   a bare multi_match, the same facets", bare, " ms")
    for share in (50, 95):
        ratio = percentile(ours, share) / percentile(bare, share)
        table.at_most(f"opensearch:   ours against the bare one, p{share}", ratio, GOALS["times multi_match"], " ×")
    engine.close()
    client.close()


def against_the_helper(table: Table, settings: Settings, url: str, rebuilt: float) -> None:
    """Feed the client's own bulk helper the JSON that a rebuild makes, ready-made, and compare the rates."""
    actions = list(itertools.islice(_ready_made(settings), HELPER_DOCUMENTS))
    engine = OpenSearchEngine(hosts=[url], prefix="helper", for_writing=True)
    engine.create_index("helper-1")
    client = OpenSearch(hosts=[url], timeout=60)
    began = time.perf_counter()
    done, _ = helpers.bulk(client, actions, index="helper-1", chunk_size=BULK_LINES)
    client.indices.refresh(index="helper-1")
    rate = done / (time.perf_counter() - began)
    engine.drop("helper-1")
    engine.close()
    client.close()
    table.add(f"opensearch: the client's bulk helper, {done:,} ready-made documents", f"{rate:,.0f}/s")
    table.at_least("opensearch: rebuild against the helper", rebuilt / rate, GOALS["of the helper"], " ×")


def _ready_made(settings: Settings) -> Iterator[dict[str, Any]]:
    with create_app(settings).app_context():
        for kind in ("article", "record", "customer"):
            versions = dict(
                db.session.execute(
                    select(OutboxRow.object_id, OutboxRow.version).where(OutboxRow.kind == kind).limit(HELPER_DOCUMENTS)
                ).all()
            )
            for item in build_batch(kind, versions):
                if isinstance(item, Document):
                    source = source_of(item)
                    # The same as the product sends: versions are what makes the index provable.
                    yield {
                        "_id": item.id,
                        "_source": json.loads(json.dumps(source)),
                        "version": item.version,
                        "version_type": "external_gte",
                    }


def pages(table: Table, place: Installation, token: str, email: str, queries: Sequence[str], *, engine: str) -> None:
    """Ask API and page for the same words, as an agent with all facets; the engine's own time apart."""
    api, page = place.client(token), place.client()
    page.sign_in(email, PASSWORD)
    for words in queries[:WARM_UP]:
        api.ask("GET", "/api/v1/search", q=words)
        page.ask("GET", "/search", q=words)
    own, whole, beyond, page_ms, page_beyond, size = [], [], [], [], [], []
    before = place.processor_s("web")
    for words in queries:
        answer = api.ask("GET", "/api/v1/search", q=words)
        assert answer.status == http.HTTPStatus.OK, answer.body
        assert not answer.json["degraded"], words
        own.append(float(answer.json["took_ms"]))
        whole.append(answer.ms)
        beyond.append(answer.ms - own[-1])
    between = place.processor_s("web")
    for words, engine_ms in zip(queries, own, strict=True):
        shown = page.ask("GET", "/search", q=words)
        assert shown.status == http.HTTPStatus.OK, shown.body
        page_ms.append(shown.ms)
        size.append(len(shown.body) / 1000)
        page_beyond.append(shown.ms - engine_ms)
    after = place.processor_s("web")
    api.close()
    page.close()
    table.spread(f"{engine}: API answer", whole, " ms")
    table.spread(f"{engine}:   the engine's own time in it", own, " ms")
    table.spread(f"{engine}:   beyond the engine", beyond, " ms", p50=GOALS["beyond ms"])
    table.add(f"{engine}:   processor time in it", f"mean {(between - before) / len(queries) * 1000:.1f} ms")
    table.spread(f"{engine}: search page ({percentile(size, 50):.0f} kB)", page_ms, " ms")
    table.spread(f"{engine}:   beyond the engine", page_beyond, " ms", p50=GOALS["beyond ms"])
    table.add(f"{engine}:   processor time in it", f"mean {(after - between) / len(queries) * 1000:.1f} ms")


def memory(table: Table, place: Installation, *, engine: str) -> None:
    """Look at what the processes hold after all that."""
    whole, mapped = place.memory_mb("web")
    table.at_most(f"{engine}: resident memory of a web process", whole, GOALS["web MB"], " MB")
    table.add(f"{engine}:   of it mapped files, shared and given back", f"{mapped:.0f} MB")
    whole, mapped = place.memory_mb("worker")
    table.add(f"{engine}: resident memory of the worker", f"{whole:.0f} MB, of it mapped files {mapped:.0f} MB")
