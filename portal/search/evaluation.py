"""How good a ranking is, by judged questions: nDCG@10, MRR@10, Recall@10."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Means over all judged queries."""

    ndcg_at_10: float
    mrr_at_10: float
    recall_at_10: float
    queries: int


def evaluate(
    queries: Iterable[tuple[str, str]],
    judgements: Mapping[str, Mapping[str, int]],
    find: Callable[[str], Sequence[str]],
) -> Evaluation:
    """Ask every judged query and compare the first ten answers with its judgements.

    `queries` are ids and texts, `judgements` the graded relevance of documents by query, `find` returns document ids,
    best first.  A query without a relevant judgement is left out; one that finds nothing counts 0.
    """
    count = 0
    gain = reciprocal = recall = 0.0
    for query_id, text in queries:
        relevant = {doc: grade for doc, grade in judgements.get(query_id, {}).items() if grade > 0}
        if not relevant:
            continue
        ranked = list(find(text))[:DEPTH]
        count += 1
        gain += ndcg(ranked, relevant)
        reciprocal += reciprocal_rank(ranked, relevant)
        recall += len(set(ranked) & set(relevant)) / len(relevant)
    divisor = max(1, count)
    return Evaluation(
        ndcg_at_10=gain / divisor, mrr_at_10=reciprocal / divisor, recall_at_10=recall / divisor, queries=count
    )


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], depth: int = DEPTH) -> float:
    """Return the discounted gain (2^grade − 1) of a ranking over that of the best possible one."""

    def discounted(grades: Iterable[int]) -> float:
        return sum((2.0**grade - 1) / log2(place + 1) for place, grade in enumerate(grades, 1))

    best = discounted(sorted(relevant.values(), reverse=True)[:depth])
    return discounted(relevant.get(doc, 0) for doc in ranked[:depth]) / best if best else 0.0


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int], depth: int = DEPTH) -> float:
    """Return one over the place of the first relevant document; 0 when there is none."""
    return next((1 / place for place, doc in enumerate(ranked[:depth], 1) if relevant.get(doc, 0) > 0), 0.0)


def read_judgements(lines: Iterable[str]) -> dict[str, dict[str, int]]:
    """Read lines `query_id<TAB>doc_id<TAB>relevance`; a first line with these words is skipped.

    Raises:
        ValueError: a line has another shape; the text tells its number.
    """
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, 1):
        parts = line.rstrip("\r\n").split("\t")
        if parts == [""] or (number == 1 and parts[-1] == "relevance"):
            continue
        try:
            query_id, document_id, grade = parts
            found.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError:
            raise ValueError(f"line {number}: expected query_id, doc_id and a whole number, apart by tabs") from None
    return found
