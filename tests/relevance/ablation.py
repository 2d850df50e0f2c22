"""Print how well the judged collections are answered with and without each ingredient of the ranking.

python -m tests.relevance.ablation [--engine embedded opensearch] [--url http://127.0.0.1:9200] [--all]

Without `--all` the open collections are asked as many queries as the gate asks.  On OpenSearch two bare queries stand
beside ours: BM25 over everything, and the usual `multi_match` with a title that counts three times.
"""

import argparse
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from portal.access import PUBLIC
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.evaluation import CUT, ndcg
from portal.search.guidance import Guidance, default_guidance
from portal.search.opensearch.engine import OpenSearchEngine
from portal.search.ranking import WEIGHTS, Weights
from tests import servers
from tests.relevance import gate
from tests.relevance.collection import ASKED, OWN, Collection, open_collections, open_folder, own_collection

WITHOUT: dict[str, Weights] = {
    "ours": WEIGHTS,
    "without the title": replace(WEIGHTS, title=0.0, title_characters=0.0),
    "title counts 1.5": replace(WEIGHTS, title=1.5),
    "without the first lines": replace(WEIGHTS, lead=0.0),
    "without words as written": replace(WEIGHTS, words=0.0),
    "without pairs of words": replace(WEIGHTS, pairs=0.0),
    "without single characters": replace(WEIGHTS, characters=0.0, title_characters=0.0),
    "without codes": replace(WEIGHTS, codes=0.0),
    "without joined words": replace(WEIGHTS, joined=0.0),
    "without synonyms": replace(WEIGHTS, synonyms=0.0),
    "general words count whole": replace(WEIGHTS, weak=1.0),
    "all text counts 1": replace(WEIGHTS, all=1.0),
}
Bare = Callable[[str], dict[str, object]]
BARE: dict[str, Bare] = {
    "bare BM25 over everything": lambda text: {"match": {"all": {"query": text}}},
    "bare multi_match, title³": lambda text: {
        "multi_match": {"query": text, "fields": ["searched_title^3", "all"], "type": "best_fields"}
    },
}


def _same(guidance: Guidance) -> Guidance:
    return guidance


def show(engine: str, label: str, values: Sequence[float]) -> None:
    print(f"{engine:10} {label:28} " + "  ".join(f"{value:.4f}" for value in values), flush=True)


def measure_bare(engine: OpenSearchEngine, collection: Collection, bare: Bare) -> float:
    """Ask OpenSearch itself, without our ranking, under the same filters."""
    found = []
    for query in collection.queries:
        filters = [{"term": {"readers": PUBLIC}}, {"term": {"source": collection.name}}]
        body = {"query": {"bool": {"must": [bare(query.text)], "filter": filters}}, "size": CUT}
        answer = engine._client.search(index=engine._prefix, body={**body, "_source": ["external_id"]})
        found.append(ndcg([hit["_source"]["external_id"] for hit in answer["hits"]["hits"]], query.relevance))
    return sum(found) / len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", nargs="*", choices=["embedded", "opensearch"], default=["embedded"])
    parser.add_argument("--url", default="", help="a running OpenSearch; without it one is started")
    parser.add_argument("--all", action="store_true", help="ask every query of the open collections")
    chosen = parser.parse_args()
    folder = open_folder()
    collections = [own_collection(), *(open_collections(folder, ask_all=chosen.all) if folder else ())]
    print(f"{'':39} " + "  ".join(name[:6].ljust(6) for name in (OWN, *(ASKED if folder else ()))))
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen.engine:
            engine: EmbeddedEngine | OpenSearchEngine
            if name == "embedded":
                engine = EmbeddedEngine(Path(scratch) / "index")
            else:
                url = chosen.url or servers.start_opensearch(Path(scratch) / "node").url
                engine = OpenSearchEngine(hosts=[url], prefix=f"ablation{uuid.uuid4().hex[:8]}", for_writing=True)
            prefix = engine._prefix if isinstance(engine, OpenSearchEngine) else "ablation"
            rows: dict[str, list[float]] = {}
            for group in ([collections[0]], collections[1:]):
                if not group:
                    continue
                gate.fill(engine, f"{prefix}-{group[0].name}", group)
                for label, weights in WITHOUT.items():
                    guidance = replace(default_guidance(), weights=weights)
                    engine._guidance = partial(_same, guidance)
                    values = [gate.mean(gate.measure(engine, collection)) for collection in group]
                    rows.setdefault(label, []).extend(values)
                if isinstance(engine, OpenSearchEngine):
                    for label, bare in BARE.items():
                        rows.setdefault(label, []).extend(measure_bare(engine, one, bare) for one in group)
            for label, values in rows.items():
                show(name, label, values)
            engine.close()


if __name__ == "__main__":
    main()
