"""What readers' clicks say of the ranking, without what the rank itself did to them.

Readers look at the first hit far more often than at the tenth, so a click further down says more.  Each click counts
the inverse of the chance that its rank was looked at, 1/rank^η: inverse propensity weighting as in Joachims,
Swaminathan and Schnabel 2017, with η = 1 and the weight cut at that of rank 10.  Then the clicked documents are sought
in the hits of a configuration: it is better when it has them further up.  Documents that nobody was shown cannot be
clicked, so this is an estimate beside the judgements and never in place of them.
"""

import json
from dataclasses import dataclass

from sqlalchemy import func, select

from portal.extensions import db
from portal.search.models import SearchLog
from portal.steering.previews import Logged

NAME = "clicks"
SEARCHES = 1_000
ETA = 1.0
MOST_WEIGHT = 10.0


@dataclass(frozen=True, slots=True)
class Click(Logged):
    """What was searched and clicked, and how much all such clicks weigh together."""

    document_id: str
    weight: float

    @property
    def key(self) -> str:
        """Its name among the scores."""
        return f"{self.words} ({self.viewer_kind}) → {self.document_id}"[:300]


def weight_of(rank: int) -> float:
    """Return how much a click on a rank weighs."""
    return float(min(max(1, rank) ** ETA, MOST_WEIGHT))


def newest_id() -> int:
    """Return the latest logged search that ended in a click; 0 when none did."""
    return db.session.scalar(select(func.max(SearchLog.id)).where(SearchLog.clicked.is_not(None))) or 0


def load() -> list[Click]:
    """Return the latest searches that ended in a click, alike ones together, in a lasting order."""
    rows = db.session.execute(
        select(SearchLog.words, SearchLog.viewer_kind, SearchLog.filters, SearchLog.clicked, SearchLog.clicked_rank)
        .where(SearchLog.clicked.is_not(None), SearchLog.clicked_rank.is_not(None))
        .order_by(SearchLog.id.desc())
        .limit(SEARCHES)
    )
    weights: dict[tuple[str, str, str, str], float] = {}
    for row in rows:
        filters = json.dumps(row.filters or {}, sort_keys=True)
        key = (row.words, row.viewer_kind, filters, row.clicked)
        weights[key] = weights.get(key, 0.0) + weight_of(row.clicked_rank)
    return [Click(*key, weight=weight) for key, weight in sorted(weights.items())]
