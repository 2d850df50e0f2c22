"""Fill an engine with generated documents, past SQL and processes, and time its queries.

python -m tests.benchmarks.engine [--documents 100000] [--data FOLDER] [--url http://127.0.0.1:9200]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from portal.access import PUBLIC, STAFF
from portal.search.document import Document, Section
from portal.search.embedded import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.slugs import slug_for
from tests.benchmarks import measures
from tests.benchmarks.table import Table, load
from tests.benchmarks.texts import Texts

ROOT = Path(__file__).resolve().parents[2]
BATCH = 500


def documents(texts: Texts, count: int) -> Iterator[Document]:
    """Yield nine service records for each article."""
    records, articles = texts.records(count), texts.articles(count)
    for number in range(1, count + 1):
        is_article = number % 10 == 0
        row = next(articles if is_article else records)
        yield _document(number, row, kind="faq" if is_article else "record")


def _document(number: int, row: dict[str, Any], *, kind: str) -> Document:
    meta = row["meta"]
    facets = {"priority": (meta["priority"],)} if "priority" in meta else {}
    return Document(
        id=f"{'article' if kind == 'faq' else 'record'}:{number}",
        version=1,
        kind=kind,
        readers=frozenset({PUBLIC if kind == "faq" else STAFF}),
        title=row["title"],
        sections=(Section(anchor="", heading="", text=row["text"]),) if kind == "faq" else (),
        body="" if kind == "faq" else row["text"],
        language=row["lang"],
        categories=tuple(slug_for(name) for name in meta["category"].split(" > ")),
        products=(slug_for(meta["product"]),),
        tags=tuple(meta["tags"]),
        status=meta.get("state", "published"),
        source="generated",
        external_id=row["id"],
        updated_at=datetime.fromisoformat(row.get("updated_at") or meta["updated_at"]),
        facets=facets,
    )


def fill(table: Table, engine: SearchEngine, name: str, found: Iterator[Document]) -> None:
    """Write the documents in batches; the clock runs while the engine has them, not while they are made."""
    engine.create_index(name)
    took_s, spent_s, count = 0.0, 0.0, 0
    while batch := list(itertools.islice(found, BATCH)):
        began, before = time.perf_counter(), time.process_time()
        engine.write(name, batch)
        took_s, spent_s = took_s + time.perf_counter() - began, spent_s + time.process_time() - before
        count += len(batch)
    began, before = time.perf_counter(), time.process_time()
    engine.commit(name)
    took_s, spent_s = took_s + time.perf_counter() - began, spent_s + time.process_time() - before
    engine.swap(name)
    table.add(f"{engine.name}: {count:,} documents written", f"{count / took_s:,.0f}/s")
    table.add(f"{engine.name}:   per second of our processor time", f"{count / spent_s:,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--url", default="", help="of an OpenSearch node; otherwise the embedded engine")
    parser.add_argument("--queries", type=int, default=200)
    chosen = parser.parse_args()
    texts, table, before = Texts(chosen.data), Table(), load()
    queries = texts.queries(chosen.queries)
    if chosen.url:
        from portal.search.opensearch import OpenSearchEngine

        engine: SearchEngine = OpenSearchEngine(hosts=[chosen.url], prefix="bench-engine", for_writing=True)
        name = f"bench-engine-{time.time_ns()}"
        fill(table, engine, name, documents(texts, chosen.documents))
        measures.opensearch_queries(table, chosen.url, "bench-engine", queries)
        engine.close()
    else:
        with tempfile.TemporaryDirectory() as folder:
            engine = EmbeddedEngine(Path(folder))
            fill(table, engine, "bench", documents(texts, chosen.documents))
            engine.close()
            measures.embedded_queries(table, Path(folder), queries)
    print(f"\n{table.text(f'load {before} before, {load()} after')}")


if __name__ == "__main__":
    main()
