"""Figures of what was searched: how much, how well, and by which words.

Every figure is one grouped query over the log within a period; no person stands in any of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select

from portal.access import Role
from portal.extensions import db, now
from portal.search.models import SearchLog

PERIODS = (7, 28, 90, 365)
DAILY_UP_TO = 92
AUDIENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anonymous": (Role.ANONYMOUS.value,),
        "customer": (Role.CUSTOMER.value,),
        "staff": (Role.AGENT.value, Role.EDITOR.value, Role.MANAGER.value, Role.ADMIN.value),
    }
)
LANGUAGES = ("en", "zh")
LAST_RANK = 10
MOST_QUERIES = 50
MOST_EXPORTED = 10_000
MOST_OPENED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which searches are counted.  `key` is one query in the form in which words are counted together."""

    days: int = 28
    language: str = ""
    audience: str = ""
    key: str | None = None
    until: datetime

    @property
    def since(self) -> datetime:
        """When the period begins: a whole day."""
        first = (self.until - timedelta(days=self.days - 1)).date()
        return datetime.combine(first, datetime.min.time(), UTC)

    @property
    def before(self) -> "Scope":
        """The period of the same length just before, for comparison."""
        return replace(self, until=self.since - timedelta(microseconds=1))

    def condition(self) -> ColumnElement[bool]:
        """Return the condition of its searches."""
        parts = [SearchLog.at >= self.since, SearchLog.at <= self.until]
        if self.language:
            parts.append(SearchLog.language == self.language)
        if self.audience:
            parts.append(SearchLog.viewer_kind.in_(AUDIENCES[self.audience]))
        if self.key is not None:
            parts.append(SearchLog.key == self.key)
        return and_(*parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How some searches went.

    `empty` found nothing; `unopened` found something and nothing was opened; `reworded` were followed by other words;
    `requests` ended in a request within a day.
    """

    searches: int = 0
    empty: int = 0
    opened: int = 0
    reworded: int = 0
    requests: int = 0
    degraded: int = 0
    mean_rank: float | None = None
    mean_ms: float | None = None

    @property
    def unopened(self) -> int:
        """Found something, and nothing of it was opened."""
        return max(0, self.searches - self.empty - self.opened)

    @property
    def select_through(self) -> float | None:
        """Searches with a click among all; None without any."""
        return self.opened / self.searches if self.searches else None

    def share(self, count: int) -> float | None:
        """Return a count as a share of all searches."""
        return count / self.searches if self.searches else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query, in all its spellings, and how it went."""

    key: str
    words: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A day, or a week beginning on it."""

    day: date
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A document that was opened after a query."""

    document_id: str
    times: int
    mean_rank: float


_IS_EMPTY = SearchLog.total == 0
_IS_OPENED = SearchLog.clicked.is_not(None)
# A request counts when it followed within a day; the log notes no later one.
_COUNTED: tuple[ColumnElement[Any], ...] = (
    func.count(),
    func.sum(case((and_(_IS_EMPTY, SearchLog.clicked.is_(None)), 1), else_=0)),
    func.sum(case((_IS_OPENED, 1), else_=0)),
    func.sum(case((SearchLog.is_reworded, 1), else_=0)),
    func.sum(case((SearchLog.record_id.is_not(None), 1), else_=0)),
    func.sum(case((SearchLog.is_degraded, 1), else_=0)),
    func.avg(SearchLog.clicked_rank),
    func.avg(SearchLog.took_ms),
)
ORDERS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "searched": _COUNTED[0],
        "empty": _COUNTED[1],
        "unopened": _COUNTED[0] - _COUNTED[1] - _COUNTED[2],
        "reworded": _COUNTED[3],
        "requests": _COUNTED[4],
    }
)


def scope_of(args: Mapping[str, str], key: str | None = None) -> Scope:
    """Read the scope from an address; what is not known is the default."""
    days = args.get("days", "")
    language, audience = args.get("language", ""), args.get("audience", "")
    return Scope(
        days=int(days) if days in map(str, PERIODS) else 28,
        language=language if language in LANGUAGES else "",
        audience=audience if audience in AUDIENCES else "",
        key=key,
        until=now(),
    )


def load_counts(scope: Scope) -> Counts:
    """Count the searches of a scope."""
    return _counts(db.session.execute(select(*_COUNTED).where(scope.condition())).one())


def load_steps(scope: Scope) -> list[Step]:
    """Count day by day, or week by week in a long period; days without searches are there, too."""
    day = func.date(SearchLog.at)
    rows = db.session.execute(select(day, *_COUNTED).where(scope.condition()).group_by(day))
    found = {_day(row[0]): _counts(row[1:]) for row in rows}
    width = 1 if scope.days <= DAILY_UP_TO else 7
    first = scope.since.date()
    days = [first + timedelta(days=number) for number in range((scope.until.date() - first).days + 1)]
    return [
        Step(day=days[start], counts=_sum([found[d] for d in days[start : start + width] if d in found]))
        for start in range(0, len(days), width)
    ]


def load_ranks(scope: Scope) -> list[int]:
    """Return how many clicks went to rank 1, 2, … and, last, to any lower one."""
    rank = SearchLog.clicked_rank
    rows = db.session.execute(
        select(rank, func.count()).where(scope.condition(), rank.is_not(None)).group_by(rank)
    ).all()
    counts = [0] * (LAST_RANK + 1)
    for at, count in rows:
        counts[min(max(int(at or 1), 1), LAST_RANK + 1) - 1] += count
    return counts


def load_by_language(scope: Scope) -> dict[str, Counts]:
    """Count by the language of the page that was searched from."""
    rows = db.session.execute(
        select(SearchLog.language, *_COUNTED).where(scope.condition()).group_by(SearchLog.language)
    )
    return {row[0]: _counts(row[1:]) for row in rows}


def load_by_audience(scope: Scope) -> dict[str, Counts]:
    """Count by who searched: anonymous readers, customers, staff."""
    rows = db.session.execute(
        select(SearchLog.viewer_kind, *_COUNTED).where(scope.condition()).group_by(SearchLog.viewer_kind)
    )
    by_role = {row[0]: _counts(row[1:]) for row in rows}
    found = {name: _sum([by_role[role] for role in roles if role in by_role]) for name, roles in AUDIENCES.items()}
    return {name: counts for name, counts in found.items() if counts.searches}


def load_queries(scope: Scope, order: str, limit: int = MOST_QUERIES) -> list[Query]:
    """Return the queries that lead in one of `ORDERS`, the most first; those with nothing of it are left out."""
    leading = ORDERS[order]
    rows = db.session.execute(
        select(SearchLog.key, func.max(SearchLog.words), *_COUNTED)
        .where(scope.condition())
        .group_by(SearchLog.key)
        .having(leading > 0)
        .order_by(leading.desc(), _COUNTED[0].desc(), SearchLog.key)
        .limit(limit)
    )
    return [Query(key=row[0], words=row[1], counts=_counts(row[2:])) for row in rows]


def load_spellings(scope: Scope) -> list[tuple[str, int]]:
    """Return in which ways one query was typed, the most frequent first."""
    rows = db.session.execute(
        select(SearchLog.words, func.count())
        .where(scope.condition())
        .group_by(SearchLog.words)
        .order_by(func.count().desc(), SearchLog.words)
        .limit(MOST_OPENED)
    )
    return [(row[0], row[1]) for row in rows]


def load_opened(scope: Scope) -> list[Opened]:
    """Return what was opened after one query, the most frequent first."""
    rows = db.session.execute(
        select(SearchLog.clicked, func.count(), func.avg(SearchLog.clicked_rank))
        .where(scope.condition(), _IS_OPENED)
        .group_by(SearchLog.clicked)
        .order_by(func.count().desc(), SearchLog.clicked)
        .limit(MOST_OPENED)
    )
    return [Opened(document_id=row[0], times=row[1], mean_rank=float(row[2])) for row in rows]


def rows_of(queries: Sequence[Query]) -> Iterator[dict[str, object]]:
    """Return queries as the rows of an export."""
    for query in queries:
        counts = query.counts
        yield {
            "words": query.words,
            "searches": counts.searches,
            "without_result": counts.empty,
            "without_click": counts.unopened,
            "reworded": counts.reworded,
            "opened": counts.opened,
            "select_through": "" if counts.select_through is None else round(counts.select_through, 4),
            "mean_rank": "" if counts.mean_rank is None else round(counts.mean_rank, 2),
            "requests_within_a_day": counts.requests,
        }


COLUMNS = (
    "words",
    "searches",
    "without_result",
    "without_click",
    "reworded",
    "opened",
    "select_through",
    "mean_rank",
    "requests_within_a_day",
)


def _counts(row: Sequence[Any]) -> Counts:
    searches, empty, opened, reworded, requests, degraded, rank, ms = row
    return Counts(
        searches=int(searches or 0),
        empty=int(empty or 0),
        opened=int(opened or 0),
        reworded=int(reworded or 0),
        requests=int(requests or 0),
        degraded=int(degraded or 0),
        mean_rank=float(rank) if rank is not None else None,
        mean_ms=float(ms) if ms is not None else None,
    )


def _sum(parts: Sequence[Counts]) -> Counts:
    opened, searches = sum(p.opened for p in parts), sum(p.searches for p in parts)
    ranks = sum((p.mean_rank or 0.0) * p.opened for p in parts)
    spent = sum((p.mean_ms or 0.0) * p.searches for p in parts)
    return Counts(
        searches=searches,
        empty=sum(p.empty for p in parts),
        opened=opened,
        reworded=sum(p.reworded for p in parts),
        requests=sum(p.requests for p in parts),
        degraded=sum(p.degraded for p in parts),
        mean_rank=ranks / opened if opened else None,
        mean_ms=spent / searches if searches else None,
    )


def _day(value: str | date) -> date:
    # SQLite gives the text of a day, PostgreSQL a day.
    return date.fromisoformat(value) if isinstance(value, str) else value
