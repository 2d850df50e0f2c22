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
    with qrels.open(encoding="utf-8") as file:
        relevance = read_qrels(file, qrels.name)
    judged, unjudged = [], 0
    with queries.open(encoding="utf-8") as file:
        for query_id, text, _language in read_queries(file, queries.name):
            if any(relevance.get(query_id, {}).values()):
                judged.append(JudgedQuery(query_id, text, relevance[query_id]))
            else:
                unjudged += 1
    return judged, unjudged


def find_unasked(queries: Path, qrels: Path) -> list[str]:
    """Return the ids that are judged and belong to no query, sorted."""
    with qrels.open(encoding="utf-8") as file:
        judged = set(read_qrels(file, qrels.name))
    with queries.open(encoding="utf-8") as file:
        return sorted(judged.difference(query_id for query_id, _, _ in read_queries(file, queries.name)))


def read_qrels(lines: Iterable[str], name: str) -> dict[str, dict[str, int]]:
    """Read query → document → relevance from lines of three columns; a first line of headings is skipped.

    Raises:
        JudgementError: a line has not the promised shape; the text names file and line.
    """
    relevance: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.rstrip("\r\n").split("\t")
        if number == 1 and parts[-1].strip().lower() == "relevance":
            continue
        grade = parts[-1].strip()
        if len(parts) != 3 or not (grade.isascii() and grade.lstrip("-").isdigit() and len(grade) < 10):
            raise JudgementError(
                gettext("%(file)s, line %(line)s: not query_id, doc_id and relevance.", file=name, line=number)
            )
        relevance.setdefault(parts[0], {})[parts[1]] = max(0, int(grade))
    return relevance


def read_queries(lines: Iterable[str], name: str) -> Iterator[tuple[str, str, str]]:
    """Yield id, text and language (which may be empty) of each line of JSON.

    Raises:
        JudgementError: a line has not the promised shape; the text names file and line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            found = str(item["id"]), str(item["text"]), str(item.get("lang") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise JudgementError(
                gettext("%(file)s, line %(line)s: no JSON with id and text.", file=name, line=number)
            ) from None
        yield found
