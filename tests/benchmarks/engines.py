"""Fill an engine with generated documents and print its speeds and size.

    python -m tests.benchmarks.engines [--documents 100000] [--url http://127.0.0.1:9200]

Documents are of some 120 words, every fourth in Chinese, with the word frequencies of real text.  With `--url` the same
documents go to OpenSearch: once through its client's own bulk helper as ready-made JSON, once through the engine; and
each query is asked as a bare `multi_match` with the same facets as well.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from portal.access import CUSTOMERS, PUBLIC, STAFF, Role, viewer_for
from portal.search.document import Document
from portal.search.embedded import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.facets import FACETS
from portal.search.request import SearchRequest

NOW = datetime.now(UTC)
BATCH = 500
ASKED = 300
SYLLABLES = "ba co di fu ga he jo ki lu ma ne po qua ri su ta ve wi xo ze".split()  # noqa: SIM905
CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就"
    "分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
)


def vocabulary(chance: random.Random, size: int = 30_000) -> list[str]:
    """Return made-up words; the earlier, the more frequent they are meant to be."""
    return ["".join(chance.choices(SYLLABLES, k=chance.choice([1, 2, 2, 3, 3, 4]))) for _ in range(size)]


def generate(count: int, seed: int = 1) -> Iterator[Document]:
    """Yield documents, the same for the same seed."""
    chance = random.Random(seed)
    words = vocabulary(chance)
    weights = [1 / (rank + 8) for rank in range(len(words))]
    pool = chance.choices(words, weights, k=400_000)
    signs = "".join(chance.choices(CHARACTERS, [1 / (n + 3) for n in range(len(CHARACTERS))], k=200_000))
    for number in range(1, count + 1):
        is_chinese = number % 4 == 0
        if is_chinese:
            at = chance.randrange(len(signs) - 400)
            title, body = signs[at : at + 12], signs[at + 12 : at + 260] + " LX-" + str(number % 977)
        else:
            at = chance.randrange(len(pool) - 200)
            title, body = " ".join(pool[at : at + 7]), " ".join(pool[at + 7 : at + 120]) + f". ERR-{number % 4999:05}"
        is_record = number % 2 == 0
        yield Document(
            id=f"{'record' if is_record else 'article'}:{number}", version=1,
            kind="record" if is_record else ("faq", "case_study")[number % 3 == 0],
            readers=frozenset(
                {STAFF, f"customer:{number % 500}"} if is_record else {(PUBLIC, CUSTOMERS)[number % 5 == 0]}
            ),
            title=title, lead=body[:80], body=body, internal="noted and called back" if is_record else "",
            identifiers=(f"R-2026-{number:06}",) if is_record else (), language="zh" if is_chinese else "en",
            categories=(f"c{number % 12}", f"c{number % 12}-{number % 60}"), products=(f"p{number % 40}",),
            tags=(f"t{number % 150}", f"t{number % 7}"), status=("open", "closed", "published")[number % 3],
            source="generated", updated_at=NOW - timedelta(minutes=number * 7 % 900_000), popularity=number % 100,
            url=f"/articles/{number}", facets={"priority": (("low", "high")[number % 9 == 0],)},
        )  # fmt: skip


def queries(seed: int = 1) -> list[str]:
    """Return what is asked: one to four words, questions, Chinese, codes."""
    chance = random.Random(seed)
    words = vocabulary(chance)
    frequent, rare = words[:400], words[400:8000]
    signs = CHARACTERS
    asked = []
    for number in range(ASKED):
        match number % 6:
            case 0:
                asked.append(" ".join(chance.choices(frequent, k=2)))
            case 1:
                asked.append(" ".join([*chance.choices(frequent, k=2), *chance.choices(rare, k=2)]))
            case 2:
                asked.append("how do I " + " ".join(chance.choices(frequent, k=5)) + "?")
            case 3:
                asked.append("".join(chance.choices(signs, k=5)))
            case 4:
                asked.append(f"ERR-{chance.randrange(4999):05} {chance.choice(rare)}")
            case _:
                asked.append(chance.choice(rare))
    return asked


def timed(name: str, calls: list[Callable[[], object]]) -> None:
    """Run calls one after another and print their times."""
    times = []
    for call in calls:
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    print(
        f"  {name:42} p50 {statistics.median(times):7.2f} ms   p95 {times[int(len(times) * 0.95)]:7.2f} ms   "
        f"most {times[-1]:7.2f} ms"
    )


def fill(engine: SearchEngine, index: str, documents: list[Document]) -> None:
    """Write all documents and print the rate."""
    began = time.perf_counter()
    engine.create_index(index)
    for at in range(0, len(documents), BATCH):
        engine.write(index, documents[at : at + BATCH])
    engine.commit(index)
    engine.swap(index)
    took = time.perf_counter() - began
    print(f"  written: {len(documents)} documents in {took:.1f} s, {len(documents) / took:.0f}/s")
    size = next(summary.bytes for summary in engine.list_indices() if summary.name == index)
    print(f"  size: {size / 1e6:.0f} MB, {size / len(documents):.0f} bytes a document")


def ask(engine: SearchEngine, documents: int) -> None:
    """Ask everything that is asked of an engine while people work."""
    agent = viewer_for(Role.AGENT, user_id=1)
    customer = viewer_for(Role.CUSTOMER, user_id=2, customer_id=7)
    asked = queries()

    def search(**more: object) -> list[Callable[[], object]]:
        return [
            lambda text=text: engine.search(SearchRequest(**{"viewer": agent, "text": text, **more}))  # type: ignore[misc]
            for text in asked
        ]

    for call in search()[:30]:
        call()
    timed("search, facets, highlights (agent)", search())
    timed("search, facets, highlights (customer)", search(viewer=customer))
    timed("search, two filters chosen", search(filters={"kind": ("faq", "record"), "tag": ("t3",)}))
    timed(
        "search without facets and highlights", search(with_facets=False, with_highlights=False, with_correction=False)
    )
    timed("browse (no words)", [lambda: engine.search(SearchRequest(viewer=agent))] * 50)
    timed("page 100", [lambda t=t: engine.search(SearchRequest(viewer=agent, text=t, page=100)) for t in asked[:60]])
    timed("suggest", [lambda t=t: engine.suggest(agent, t[:4]) for t in asked])
    timed("similar", [lambda t=t: engine.similar(agent, " ".join([t] * 5)) for t in asked[:60]])
    live = engine.live_index() or ""
    began = time.perf_counter()
    walked = sum(1 for _ in engine.versions(live))
    print(f"  walk of {walked} versions: {time.perf_counter() - began:.2f} s")
    saves = []
    for number in range(30):
        saved = next(generate(1, seed=1000 + number))
        word = f"unheard{number}of"
        document = Document(id=f"article:{documents + 10 + number}", version=1, kind="faq", readers=frozenset({PUBLIC}),
                            title=word, body=saved.body)  # fmt: skip
        began = time.perf_counter()
        engine.write(live, [document])
        engine.commit(live)
        while not engine.search(SearchRequest(viewer=agent, text=word, with_facets=False)).total:
            time.sleep(0.002)
        saves.append((time.perf_counter() - began) * 1000)
    saves.sort()
    print(f"  written → found: p50 {statistics.median(saves):.0f} ms   p95 {saves[28]:.0f} ms")


def compare(url: str, prefix: str, documents: list[Document]) -> None:
    """Measure OpenSearch's own client beside ours: bulk of ready-made JSON, and a bare query with the same facets."""
    from opensearchpy import OpenSearch, helpers

    from portal.search import opensearch

    client = OpenSearch(hosts=[url], timeout=60)
    name = f"{prefix}-bare"
    client.indices.create(index=name, body=opensearch._index_body(), params={"request_timeout": 30})
    actions = [{"_index": name, "_id": d.id, "_source": opensearch._source(d)} for d in documents]
    began = time.perf_counter()
    helpers.bulk(client, actions, chunk_size=BATCH, request_timeout=60)
    client.indices.refresh(index=name, params={"request_timeout": 60})
    took = time.perf_counter() - began
    print(f"  the client's own bulk helper: {len(documents) / took:.0f}/s")
    facets = {
        facet.name: {"terms": {"field": facet.name, "size": 200}} for facet in FACETS.values() if not facet.is_dates
    }
    timed(
        "a bare multi_match with the same facets",
        [
            lambda text=text: client.search(
                index=name,
                body={
                    "query": {"multi_match": {"query": text, "fields": ["title^3", "all"]}},
                    "aggs": facets,
                    "size": 20,
                    "track_total_hits": True,
                },
            )
            for text in queries()
        ],
    )
    client.indices.delete(index=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--url", default="")
    chosen = parser.parse_args()
    documents = list(generate(chosen.documents))
    index = f"bench-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        if chosen.url:
            from portal.search.opensearch import OpenSearchEngine

            print("OpenSearch")
            compare(chosen.url, "bench", documents)
            engine: SearchEngine = OpenSearchEngine(hosts=[chosen.url], prefix="bench", for_writing=True)
        else:
            print("embedded")
            engine = EmbeddedEngine(Path(folder))
        fill(engine, index, documents)
        ask(engine, len(documents))
        engine.close()


if __name__ == "__main__":
    main()
