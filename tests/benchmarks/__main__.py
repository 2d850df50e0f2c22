"""Start the portal as its operator would, load it, and print one table of what it does and what was aimed at.

python -m tests.benchmarks [--size 100000] [--data FOLDER] [--engines embedded opensearch]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from opensearch.node.server import Node
from portal.settings import Settings
from tests import servers
from tests.benchmarks import growth, measures, peer
from tests.benchmarks.measures import GOALS
from tests.benchmarks.table import Table, load
from tests.benchmarks.texts import Texts, text_bytes, write
from tests.installation import Installation

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("embedded", "opensearch")
GROWTH = {"embedded": growth.embedded, "opensearch": growth.opensearch}
PREFIX = "bench"
WEB_WORKERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--size",
        type=int,
        default=5_000,
        help="service records to load, and a tenth of it articles; 0 for --grown alone",
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="collections of real texts")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--saves", type=int, default=30, help="how often saved → findable is measured")
    parser.add_argument("--reading", type=float, default=10.0, help="seconds that 32 readers ask at once")
    parser.add_argument("--grown", type=int, default=0, help="documents to write straight into an index, too")
    parser.add_argument("--peer", action="store_true", help="ask django-helpdesk on the same records, too (from PyPI)")
    parser.add_argument("--output", type=Path, help="write the table into this file, too")
    chosen = parser.parse_args()
    chosen.data = chosen.data.resolve()
    began = time.monotonic()
    before = load()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="casebook-bench-") as folder:
        run(table, Path(folder), chosen)
    title = (
        f"Casebook, {chosen.size:,} records; load {before} before, {load()} after; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    text = table.text(title)
    print(f"\n{text}")
    if chosen.output:
        chosen.output.write_text(text + "\n")
    return 0


def run(table: Table, folder: Path, chosen: argparse.Namespace) -> None:
    texts = Texts(chosen.data)
    table.add("texts", f"varied from {texts.origin}")
    queries = texts.queries(chosen.queries)
    if chosen.grown:
        for grow in [grow for name, grow in GROWTH.items() if name in chosen.engines]:
            grow(table, folder / "grown", chosen.data, queries, chosen.grown)
        if not chosen.size:
            return
    place = Installation(folder, web_workers=WEB_WORKERS)
    place.run("init")
    token = place.add_user("Erin", "editor")
    place.start()
    try:
        texts_bytes = load_everything(table, place, token, texts, folder, chosen)
        if "embedded" in chosen.engines:
            index = folder / "data" / "index"
            measures.findable(table, place, token, engine="embedded", count=chosen.saves)
            measures.pages(table, place, token, "erin@example.com", queries, engine="embedded")
            if chosen.peer:
                peer.compare(table, place, "erin@example.com", folder / "records.jsonl", queries)
            measures.readers(table, place, token, queries, seconds=chosen.reading)
            measures.memory(table, place, engine="embedded")
            measures.rebuild(table, place, engine="embedded", goal=GOALS["rebuild/s"])
            measures.size(table, index, texts_bytes)
            measures.embedded_queries(table, index, queries)
            measures.against_bare_tantivy(table, index, queries)
            measures.suggestions(table, index, queries)
            more = write(folder / "more.jsonl", texts.articles(chosen.size, start=chosen.size))
            measures.findable_meanwhile(table, place, token, more, chosen.size, engine="embedded", count=chosen.saves)
    finally:
        place.stop()
    if "opensearch" in chosen.engines:
        on_opensearch(table, place, token, queries, folder, chosen)


def load_everything(
    table: Table, place: Installation, token: str, texts: Texts, folder: Path, chosen: argparse.Namespace
) -> int:
    """Import everything; return how many bytes of text it was."""
    real = chosen.data / "msoffice_kb" / "corpus.jsonl"
    # Named after where it comes from; a source is named after the file.
    linked = folder / "msoffice_kb.jsonl"
    if real.exists():
        linked.symlink_to(real)
        measures.imports(table, place, token, linked, "articles", name="msoffice_kb", goal=GOALS["articles/s"])
    articles = write(folder / "articles.jsonl", texts.articles(max(500, chosen.size // 10)))
    measures.imports(table, place, token, articles, "articles", name="generated articles", goal=GOALS["articles/s"])
    records = write(folder / "records.jsonl", texts.records(chosen.size))
    measures.imports(table, place, token, records, "records", name="generated records", goal=GOALS["records/s"])
    customers = write(folder / "customers.jsonl", texts.customers(max(200, chosen.size // 50)))
    measures.imports(table, place, token, customers, "customers", name="generated customers")
    return sum(text_bytes(path) for path in (linked, articles, records, customers) if path.exists())


def on_opensearch(
    table: Table, place: Installation, token: str, queries: list[str], folder: Path, chosen: argparse.Namespace
) -> None:
    """Point the same installation at a node, fill it from SQL, and measure it there."""
    try:
        servers.find_opensearch()
    except servers.MissingError as error:
        table.add("opensearch", f"not measured: {error}")
        return
    node = Node(folder / "node", memory="1g", quick=False)
    node.start()
    try:
        place.set(search_url=node.url, search_prefix=PREFIX)
        # Before there is a worker, which would build the first index by itself.
        rebuilt = measures.rebuild(table, place, engine="opensearch", goal=None)
        place.start()
        measures.findable(table, place, token, engine="opensearch", count=chosen.saves)
        measures.pages(table, place, token, "erin@example.com", queries, engine="opensearch")
        measures.memory(table, place, engine="opensearch")
        measures.opensearch_queries(table, node.url, PREFIX, queries)
        place.stop()
        settings = Settings.from_environ(place.settings)
        measures.against_the_helper(table, settings, node.url, rebuilt)
    finally:
        place.stop()
        node.stop()


if __name__ == "__main__":
    sys.exit(main())
