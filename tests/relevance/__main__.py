"""Measure the ranking on the judged collections; with --rewrite, make that the baseline on purpose.

python -m tests.relevance [--rewrite] [--engine embedded opensearch] [--worst 10]
"""

import argparse
import tempfile
import uuid
from pathlib import Path

from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.opensearch.engine import OpenSearchEngine
from tests import servers
from tests.relevance import gate
from tests.relevance.collection import Collection, open_collections, open_folder, own_collection


def groups() -> list[list[Collection]]:
    """Return what is indexed together: the project's own collection, and all open ones."""
    folder = open_folder()
    return [[own_collection()], *([open_collections(folder)] if folder else [])]


def measured(engine: SearchEngine, prefix: str) -> dict[str, gate.Values]:
    found: dict[str, gate.Values] = {}
    for number, group in enumerate(groups()):
        gate.fill(engine, f"{prefix}-{number}", group)
        found |= {collection.name: gate.measure(engine, collection) for collection in group}
    return found


def report(engine: SearchEngine, prefix: str, *, rewrite: bool, worst: int) -> None:
    values = measured(engine, prefix)
    for name, by_query in values.items():
        print(f"{engine.name:10} {name:12} nDCG@10 {gate.mean(by_query):.4f}  {len(by_query)} queries")
        for query, value in sorted(by_query.items(), key=lambda entry: entry[1])[:worst]:
            print(f"    {value:.3f}  {query[:110]}")
    if rewrite:
        gate.write_baseline(engine.name, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("--engine", nargs="*", choices=["embedded", "opensearch"], default=["embedded", "opensearch"])
    parser.add_argument("--worst", type=int, default=0)
    parser.add_argument("--url", default="", help="a running OpenSearch; without it one is started")
    chosen = parser.parse_args()
    prefix = f"relevance{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        if "embedded" in chosen.engine:
            engine: SearchEngine = EmbeddedEngine(Path(folder) / "index")
            report(engine, prefix, rewrite=chosen.rewrite, worst=chosen.worst)
            engine.close()
        if "opensearch" in chosen.engine:
            node = None if chosen.url else servers.start_opensearch(Path(folder) / "node")
            engine = OpenSearchEngine(hosts=[node.url if node else chosen.url], prefix=prefix, for_writing=True)
            report(engine, prefix, rewrite=chosen.rewrite, worst=chosen.worst)
            engine.close()
            if node:
                node.stop()


if __name__ == "__main__":
    main()
