"""What was searched, for those who mend the content: words, results, clicks.  Anonymous readers leave no identity.

Writing the log never fails a search: its errors are logged and swallowed, and it has a transaction of its own.
"""

from datetime import timedelta

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db, now
from portal.search.models import SearchLog
from portal.search.request import SearchRequest
from portal.search.results import SearchResult

KEYSTROKES = timedelta(seconds=20)
KEPT = timedelta(days=400)
log = structlog.get_logger(__name__)


def write(request: SearchRequest, result: SearchResult, *, locale: str) -> int | None:
    """Note a search and commit.  Returns the entry's id, by which a click may be added, or None when nothing was noted.

    A signed-in reader's search that continues the one just before ("prin" → "printer") replaces it.
    """
    if not request.text or request.page > 1:
        return None
    words = request.text[:1000]
    try:
        entry = _continued(request, words) or SearchLog(
            viewer_kind=request.viewer.role.value, user_id=request.viewer.user_id, language=locale
        )
        entry.at = now()
        entry.words = words
        entry.filters = {name: list(values) for name, values in request.filters.items()}
        entry.total = result.total
        entry.took_ms = round(result.took_ms, 2)
        entry.is_degraded = result.degraded
        db.session.add(entry)
        db.session.flush()
        # Asked for after the commit, the id alone would cost a query.
        entry_id = entry.id
        db.session.commit()
    except SQLAlchemyError as error:
        db.session.rollback()
        log.warning("a search was not logged", reason=type(error).__name__)
        return None
    return entry_id


def _continued(request: SearchRequest, words: str) -> SearchLog | None:
    if request.viewer.user_id is None:
        return None
    last = db.session.scalar(
        select(SearchLog)
        .where(SearchLog.user_id == request.viewer.user_id, SearchLog.at > now() - KEYSTROKES)
        .order_by(SearchLog.id.desc())
        .limit(1)
    )
    if last is None or last.clicked is not None or not (words.startswith(last.words) or last.words.startswith(words)):
        return None
    return last


def add_click(search_id: int, *, user_id: int | None, document_id: str, rank: int) -> bool:
    """Note which hit was opened and commit.  The first click within an hour counts, by whoever searched."""
    changed = db.session.execute(
        update(SearchLog)
        .where(
            SearchLog.id == search_id,
            SearchLog.user_id.is_(None) if user_id is None else SearchLog.user_id == user_id,
            SearchLog.clicked.is_(None),
            SearchLog.at > now() - timedelta(hours=1),
        )
        .values(clicked=document_id[:40], clicked_rank=rank, clicked_at=now())
    )
    db.session.commit()
    return bool(changed.rowcount)  # type: ignore[attr-defined]  # An UPDATE's result is a CursorResult.


def add_request(user_id: int, record_id: int) -> None:
    """Note that a reader's latest search of the last day ended in a request, and commit.  Never fails the request."""
    try:
        last = db.session.scalar(
            select(SearchLog)
            .where(SearchLog.user_id == user_id, SearchLog.at > now() - timedelta(days=1))
            .order_by(SearchLog.id.desc())
            .limit(1)
        )
        if last is not None and last.record_id is None:
            last.record_id = record_id
            db.session.commit()
    except SQLAlchemyError as error:
        db.session.rollback()
        log.warning("a request was not logged with its search", reason=type(error).__name__)


def recent(user_id: int, limit: int = 8) -> list[str]:
    """Return the latest different words of one reader."""
    rows = db.session.scalars(
        select(SearchLog.words).where(SearchLog.user_id == user_id).order_by(SearchLog.id.desc()).limit(limit * 5)
    )
    return list(dict.fromkeys(rows))[:limit]


def forget_old() -> int:
    """Delete what is older than the retention and commit; returns how many."""
    gone = db.session.execute(delete(SearchLog).where(SearchLog.at < now() - KEPT))
    db.session.commit()
    return int(gone.rowcount)  # type: ignore[attr-defined]
