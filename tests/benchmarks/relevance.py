"""Ask the judged questions of the open collections and print how well each is answered.

python -m tests.benchmarks.relevance --data FOLDER [--url http://127.0.0.1:9200] [--sets mtrag_un cmrc2018]
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from portal.access import ANONYMOUS, PUBLIC
from portal.search.document import Document
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import SearchEngine
from portal.search.evaluation import Scores, load_judged, mean, score
from portal.search.request import LONGEST_TEXT, SearchRequest

SETS = ("mtrag_un", "msoffice_kb", "xquad_mixed", "cmrc2018")


def load(folder: Path) -> list[tuple[Document, str]]:
    """Return the documents of one collection with their own ids."""
    found = []
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            document = Document(
                id=f"article:{number}", version=1, kind="faq", readers=frozenset({PUBLIC}), title=row["title"],
                body=row["text"], language=row.get("lang", ""), external_id=row["id"],
            )  # fmt: skip
            found.append((document, row["id"]))
    return found


def fill(engine: SearchEngine, name: str, documents: list[Document]) -> None:
    """Write documents into a fresh index and make it live."""
    engine.create_index(name)
    for at in range(0, len(documents), 500):
        for outcome in engine.write(name, documents[at : at + 500]):
            if outcome.outcome != "done":
                raise SystemExit(f"{outcome.id}: {outcome.outcome} {outcome.reason}")
    engine.commit(name)
    engine.swap(name)


def measure(engine: SearchEngine, folder: Path) -> Scores:
    """Index one collection and ask all its questions."""
    loaded = load(folder)
    names = {document.id: own for document, own in loaded}
    fill(engine, f"relevance-{folder.name}-{time.time_ns()}", [document for document, _ in loaded])
    judged, unjudged = load_judged(folder / "queries.jsonl", folder / "qrels.tsv")
    blank = SearchRequest(viewer=ANONYMOUS, size=10, with_facets=False, with_highlights=False, with_correction=False)

    def find(text: str) -> list[str]:
        result = engine.search(replace(blank, text=text[:LONGEST_TEXT]))
        return [names[hit.id] for hit in result.hits]

    return mean([score(query, find(query.text)) for query in judged], unjudged=unjudged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--url", default="")
    parser.add_argument("--sets", nargs="*", default=SETS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.url:
            from portal.search.opensearch.engine import OpenSearchEngine

            engine: SearchEngine = OpenSearchEngine(hosts=[chosen.url], prefix="relevance", for_writing=True)
        else:
            engine = EmbeddedEngine(Path(folder))
        for name in chosen.sets:
            began = time.perf_counter()
            found = measure(engine, chosen.data / name)
            print(
                f"{engine.name:10} {name:12} nDCG@10 {found.ndcg_at_10:.4f}  MRR@10 {found.mrr_at_10:.4f}  "
                f"Recall@10 {found.recall_at_10:.4f}  {found.queries} queries  {time.perf_counter() - began:.1f} s"
            )
        engine.close()


if __name__ == "__main__":
    main()
