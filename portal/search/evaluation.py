"""How good the ranking is: nDCG, reciprocal rank and recall over judged queries.

Gain is 2^relevance − 1 and the discount log2(rank + 1), as in Burges et al. 2005.  Queries without a judgement are left
out; a query that finds nothing counts 0.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flask_babel import gettext

CUT = 10


class JudgementError(Exception):
    """A file of queries or judgements cannot be used; the text names file, line and reason."""


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query and how relevant which documents are to it, by external id."""

    id: str
    text: str
    relevance: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class QueryScore:
    """What one query scored."""

    id: str
    text: str
    ndcg: float
    reciprocal_rank: float
    recall: float
    took_ms: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The means over all judged queries, each from 0 to 1, and how many there were."""
"""How good a ranking is, by judged questions: nDCG@10, MRR@10, Recall@10."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log2

DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Means over all judged queries."""

    ndcg_at_10: float
    mrr_at_10: float
    recall_at_10: float
    queries: int
    unjudged: int


def ndcg(ranked: Sequence[str], relevance: Mapping[str, int], cut: int = CUT) -> float:
    """Return the normalised discounted cumulative gain of the first `cut` documents."""
    ideal = _gain(sorted(relevance.values(), reverse=True)[:cut])
    return _gain([relevance.get(document, 0) for document in ranked[:cut]]) / ideal if ideal else 0.0


def _gain(grades: Iterable[int]) -> float:
    return math.fsum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def reciprocal_rank(ranked: Sequence[str], relevance: Mapping[str, int], cut: int = CUT) -> float:
    """Return 1 ÷ the rank of the first relevant document, or 0 when none is among the first `cut`."""
    return next((1 / rank for rank, doc in enumerate(ranked[:cut], start=1) if relevance.get(doc, 0) > 0), 0.0)


def recall(ranked: Sequence[str], relevance: Mapping[str, int], cut: int = CUT) -> float:
    """Return the share of the relevant documents that stand among the first `cut`."""
    relevant = {document for document, grade in relevance.items() if grade > 0}
    return len(relevant.intersection(ranked[:cut])) / len(relevant) if relevant else 0.0


def score(query: JudgedQuery, ranked: Sequence[str], took_ms: float = 0.0) -> QueryScore:
    """Score one query's ranking."""
    return QueryScore(
        query.id,
        query.text,
        ndcg(ranked, query.relevance),
        reciprocal_rank(ranked, query.relevance),
        recall(ranked, query.relevance),
        took_ms,
    )


def mean(scores: Sequence[QueryScore], *, unjudged: int = 0) -> Scores:
    """Average the scores of all queries."""
    count = len(scores)

    def average(value: Callable[[QueryScore], float]) -> float:
        return math.fsum(map(value, scores)) / count if count else 0.0

    return Scores(
        ndcg_at_10=average(lambda s: s.ndcg),
        mrr_at_10=average(lambda s: s.reciprocal_rank),
        recall_at_10=average(lambda s: s.recall),
        queries=count,
        unjudged=unjudged,
    )


def load_judged(queries: Path, qrels: Path) -> tuple[list[JudgedQuery], int]:
    """Read queries and judgements; returns the judged queries and how many had no judgement.

    Raises:
        JudgementError: a line has not the promised shape.
    """
    relevance: dict[str, dict[str, int]] = {}
    for number, parts in enumerate(_tab_lines(qrels), start=1):
        if number == 1 and parts[-1].strip().lower() == "relevance":
            continue
        if len(parts) != 3 or not parts[2].strip().lstrip("-").isdigit():
            raise JudgementError(
                gettext("%(file)s, line %(line)s: not query_id, doc_id and relevance.", file=qrels.name, line=number)
            )
        relevance.setdefault(parts[0], {})[parts[1]] = max(0, int(parts[2]))
    judged, unjudged = [], 0
    with queries.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                query_id, text = str(item["id"]), str(item["text"])
            except (ValueError, KeyError, TypeError):
                raise JudgementError(
                    gettext("%(file)s, line %(line)s: no JSON with id and text.", file=queries.name, line=number)
                ) from None
            if any(relevance.get(query_id, {}).values()):
                judged.append(JudgedQuery(query_id, text, relevance[query_id]))
            else:
                unjudged += 1
    return judged, unjudged


def _tab_lines(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\r\n").split("\t")


def evaluate(
    queries: Iterable[tuple[str, str]],
    judgements: Mapping[str, Mapping[str, int]],
    find: Callable[[str], Sequence[str]],
) -> Evaluation:
    """Ask every judged query and compare the first ten answers with its judgements.

    `queries` are ids and texts, `judgements` the graded relevance of documents by query, `find` returns document ids,
    best first.  A query without a relevant judgement is left out; one that finds nothing counts 0.
    count = 0
    gain = reciprocal = recall = 0.0
    for query_id, text in queries:
        relevant = {doc: grade for doc, grade in judgements.get(query_id, {}).items() if grade > 0}
        if not relevant:
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

        ValueError: a line has another shape; the text tells its number.
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, 1):
        parts = line.rstrip("\r\n").split("\t")
        if parts == [""] or (number == 1 and parts[-1] == "relevance"):
        try:
            query_id, document_id, grade = parts
            found.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError:
            raise ValueError(f"line {number}: expected query_id, doc_id and a whole number, apart by tabs") from None
    return found
