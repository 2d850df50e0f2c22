"""Compares how well each query is answered with the baseline, and says which got worse."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portal.access import Role, viewer_for
from portal.search.answer import first_hits
from portal.search.engine import SearchEngine
from portal.search.evaluation import score
from tests.relevance.collection import HERE, Collection

BASELINE = HERE / "baseline.json"
MOST_LOST = 0.005
MOST_NAMED = 20
BATCH = 500

Values = Mapping[str, float]
"""nDCG@10 by query."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a collection compares with its baseline; `worse` are the queries that lost, the most first."""

    name: str
    before: float
    after: float
    worse: tuple[tuple[str, float, float], ...]

    @property
    def holds(self) -> bool:
        """It is not worse by more than what is forgiven."""
        return self.after >= self.before - MOST_LOST

    def __str__(self) -> str:
        lines = [f"{self.name}: nDCG@10 {self.after:.4f}, before {self.before:.4f}"]
        lines += [f"  {then:.3f} → {now:.3f}  {query[:110]}" for query, then, now in self.worse[:MOST_NAMED]]
        if len(self.worse) > MOST_NAMED:
            lines.append(f"  and {len(self.worse) - MOST_NAMED} more")
        return "\n".join(lines)


def fill(engine: SearchEngine, name: str, collections: Iterable[Collection]) -> None:
    """Write collections into one fresh index and make it live."""
    engine.create_index(name)
    for collection in collections:
        for at in range(0, len(collection.documents), BATCH):
            for outcome in engine.write(name, collection.documents[at : at + BATCH]):
                assert outcome.outcome == "done", (outcome.id, outcome.reason)
    engine.commit(name)
    engine.swap(name)


def measure(engine: SearchEngine, collection: Collection) -> dict[str, float]:
    """Ask all queries of a collection among its own documents, as `casebook evaluate --source` does."""
    viewer = viewer_for(Role.ADMIN)
    values = {}
    for query in collection.queries:
        hits = first_hits(engine, viewer, query.text, filters={"source": (collection.name,)})
        values[query.id] = round(score(query, [hit.external_id for hit in hits]).ndcg, 4)
    return values


def mean(values: Values) -> float:
    return sum(values.values()) / len(values)


def compare(name: str, before: Values, after: Values) -> Verdict:
    """Compare two measurements over the queries of the newer one."""
    then = {query: before[query] for query in after}
    worse = [(query, then[query], value) for query, value in after.items() if value < then[query]]
    worse.sort(key=lambda entry: entry[2] - entry[1])
    return Verdict(name, mean(then), mean(after), tuple(worse))


def read_baseline(engine: str, collection: str, path: Path = BASELINE) -> Values:
    """Return the kept values; a perfect one is not written down, so what is missing is 1."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = kept.get(engine, {}).get(collection)
    if known is None:
        raise KeyError(
            f"{collection!r} of {engine!r} is not in {path.name}: run `python -m tests.relevance --rewrite`."
        )
    return defaultdict(lambda: 1.0, known)


def write_baseline(engine: str, measured: Mapping[str, Values], path: Path = BASELINE) -> None:
    """Put new values in place of an engine's; other engines' stay."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, values in measured.items():
        kept.setdefault(engine, {})[name] = {query: value for query, value in values.items() if value < 1.0}
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def table(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(map(str, verdicts))
