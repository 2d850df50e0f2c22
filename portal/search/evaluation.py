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
