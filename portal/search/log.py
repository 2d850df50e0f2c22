"""What was searched, for those who mend the content: words, results, clicks.  Anonymous readers leave no identity.

Nothing here touches the database while somebody waits.  A search is noted in memory and written a moment later by a
thread of the process, so that a slow, locked or broken log costs a search nothing; a note that cannot be written for
long is given up.  What may be kept of the words, `portal.search.privacy` decides before they are noted.
"""

import atexit
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import cast

import structlog
from flask import Flask, current_app
from sqlalchemy import Integer, Table, bindparam, delete, or_, select, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from portal.extensions import count_affected, db, now
from portal.search import analysis
from portal.search.models import SearchLog
from portal.search.privacy import HIDDEN, mask
from portal.search.request import SearchRequest
from portal.search.results import SearchResult
from portal.settings import Settings

KEYSTROKES = timedelta(seconds=20)
SAME_SEARCH = timedelta(minutes=30)
CLICKED_WITHIN = timedelta(hours=1)
REQUEST_WITHIN = timedelta(days=1)
LONGEST_KEY = 200
MOST_WAITING = 5_000
WRITE_EVERY_S = 0.5
LAST_WRITE_S = 2.0
FORGOTTEN_AT_ONCE = 2_000
COHORTS = 64
EXTENSION = "casebook.search_log"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What a browser remembers of its last search, so that the next one can be told to be the same, or reworded."""

    token: str
    words: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A search that was noted: the token by which a click may be added, and what the browser should remember."""

    token: str
    trail: Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    token: str
    at: datetime
    words: str
    language: str
    viewer_kind: str
    user_id: int | None
    cohort: int | None
    filters: Mapping[str, list[str]]
    total: int
    took_ms: float
    is_degraded: bool
    is_first: bool
    reworded: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Click:
    token: str
    at: datetime
    user_id: int | None
    document_id: str
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    at: datetime
    user_id: int
    record_id: int


_Note = _Search | _Click | _Request


def key_of(words: str) -> str:
    """Return the form in which words are counted together: folded, in small letters, one space apart."""
    return " ".join(analysis.fold(words).lower().split())[:LONGEST_KEY]


def note(
    request: SearchRequest,
    result: SearchResult,
    *,
    locale: str,
    trail: Trail | None = None,
    cohort: int | None = None,
) -> Noted | None:
    """Note a search; None when it is none: no words, a further page.

    What goes on with the search before ("prin" → "printer", or a filter chosen) replaces it; other words mark it as
    reworded.  `cohort` is one of a few numbers that a returning browser was given: two different ones are two different
    readers, and nobody can be told by theirs.
    """
    settings: Settings = current_app.extensions["casebook.settings"]
    if not request.text or request.page > 1 or not settings.search_log_days:
        return None
    at = now()
    words = mask(request.text)
    age = timedelta(seconds=at.timestamp() - trail.at) if trail else SAME_SEARCH
    is_same = trail is not None and age < SAME_SEARCH and trail.words == words
    is_typing = (
        trail is not None
        and age < KEYSTROKES
        and (words.startswith(trail.words) or trail.words.startswith(words))
        and not is_same
    )
    goes_on = trail is not None and (is_same or is_typing)
    token = trail.token if trail and goes_on else secrets.token_urlsafe(9)
    _recorder().add(
        _Search(
            token=token,
            at=at,
            words=words,
            language=locale,
            viewer_kind=request.viewer.role.value,
            user_id=request.viewer.user_id,
            cohort=cohort,
            filters={name: [mask(value) for value in values] for name, values in request.filters.items()},
            total=result.total,
            took_ms=round(result.took_ms, 2),
            is_degraded=result.degraded,
            is_first=not is_same,
            reworded=trail.token if trail and not goes_on and age < SAME_SEARCH else None,
        )
    )
    return Noted(token=token, trail=Trail(token=token, words=words, at=at.timestamp()))


def note_click(token: str, *, user_id: int | None, document_id: str, rank: int) -> None:
    """Note which hit was opened.  The first click within an hour counts, by whoever searched."""
    _recorder().add(_Click(token=token, at=now(), user_id=user_id, document_id=document_id[:40], rank=rank))


def note_request(user_id: int, record_id: int) -> None:
    """Note that a reader's latest search of the last day ended in a request."""
    _recorder().add(_Request(at=now(), user_id=user_id, record_id=record_id))


def settle() -> None:
    """Write what waits, now and in this thread."""
    _recorder().write_all()


def recent(user_id: int, limit: int = 8) -> list[str]:
    """Return the latest different words of one reader."""
    rows = db.session.scalars(
        select(SearchLog.words).where(SearchLog.user_id == user_id).order_by(SearchLog.id.desc()).limit(limit * 5)
    )
    return [words for words in dict.fromkeys(rows) if HIDDEN not in words][:limit]


def forget(user_id: int) -> int:
    """Take a reader's name off all their searches and commit: they remain as anybody's.  Returns how many."""
    _recorder().write_all()
    changed = db.session.execute(
        update(SearchLog)
        .where(SearchLog.user_id == user_id)
        .values(user_id=None, record_id=None)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return count_affected(changed)


def forget_old() -> int:
    """Delete what is older than the setting allows, a bounded number at a time, and commit; returns how many."""
    settings: Settings = current_app.extensions["casebook.settings"]
    before = now() - timedelta(days=settings.search_log_days)
    gone = 0
    while ids := list(
        db.session.scalars(select(SearchLog.id).where(SearchLog.at < before).limit(FORGOTTEN_AT_ONCE)).all()
    ):
        db.session.execute(delete(SearchLog).where(SearchLog.id.in_(ids)).execution_options(synchronize_session=False))
        db.session.commit()
        gone += len(ids)
    return gone


class Recorder:
    """The notes of one process and the thread that writes them."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._waiting: deque[_Note] = deque()
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._pid = 0
        self._dropped = 0

    def add(self, note: _Note) -> None:
        """Keep a note until it is written; the oldest is given up when too many wait."""
        with self._adding:
            if self._pid != os.getpid() and not self._app.testing:
                self._start()
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(note)
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many notes wait to be written."""
        return len(self._waiting)

    def write_all(self) -> bool:
        """Write what waits in one transaction; return whether nothing is left."""
        with self._writing:
            notes = self._take()
            if not notes:
                return True
            try:
                _write(notes)
                db.session.commit()
            except (IntegrityError, DataError):
                db.session.rollback()
                self._write_each(notes)
            except SQLAlchemyError as error:
                db.session.rollback()
                with self._adding:
                    self._waiting.extendleft(reversed(notes))
                log.warning("searches wait to be logged", reason=type(error).__name__, waiting=len(notes))
                return False
            return True

    def _write_each(self, notes: Iterable[_Note]) -> None:
        """Write one by one: a reader who was deleted in between takes no other's search along."""
        for one in notes:
            try:
                _write([one])
                db.session.commit()
            except SQLAlchemyError as error:
                db.session.rollback()
                log.warning("a search was not logged", reason=type(error).__name__)

    def wait_until_written(self, timeout_s: float) -> bool:
        """Wait until no note waits; return whether that came about."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self._writing, self._adding:
                if not self._waiting:
                    return True
            time.sleep(0.05)
        return False

    def _take(self) -> list[_Note]:
        with self._adding:
            notes = list(self._waiting)
            self._waiting.clear()
            if self._dropped:
                log.warning("searches were not logged: too many waited", dropped=self._dropped)
                self._dropped = 0
        return notes

    def _start(self) -> None:
        # A forked process inherits the notes of its parent, who writes them itself, and none of its threads.
        if self._pid:
            self._waiting.clear()
        self._pid = os.getpid()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="search log", daemon=True).start()
        atexit.register(self._finish)

    def _run(self) -> None:
        pause_s = WRITE_EVERY_S
        while True:
            self._wake.wait()
            self._wake.clear()
            # A moment's wait gathers what comes together into one transaction.
            time.sleep(pause_s)
            try:
                with self._app.app_context():
                    is_done = self.write_all()
            except Exception:
                log.exception("the search log met something unforeseen")
                is_done = True
            pause_s = WRITE_EVERY_S if is_done else min(30.0, pause_s * 2)
            if not is_done:
                self._wake.set()

    def _finish(self) -> None:
        """Write what is left when the process ends, and do not wait long for it."""
        if self._pid != os.getpid() or not self._waiting:
            return

        def write() -> None:
            with self._app.app_context():
                self.write_all()

        last = threading.Thread(target=write, daemon=True)
        last.start()
        last.join(LAST_WRITE_S)


def init_app(app: Flask) -> None:
    """Give the app its notes."""
    app.extensions[EXTENSION] = Recorder(app)


def _recorder() -> Recorder:
    return cast("Recorder", current_app.extensions[EXTENSION])


def _write(notes: Iterable[_Note]) -> None:
    """Write in order; searches that follow each other cost one question and two statements together."""
    for kind, alike in groupby(notes, type):
        if kind is _Search:
            _write_searches(cast("list[_Search]", list(alike)))
            continue
        for one in alike:
            if isinstance(one, _Click):
                _write_click(one)
            else:
                _write_request(cast("_Request", one))


def _write_searches(searches: Sequence[_Search]) -> None:
    tokens = {one.token for one in searches}
    known = {entry.token: entry for entry in db.session.scalars(select(SearchLog).where(SearchLog.token.in_(tokens)))}
    taken = [one for one in searches if _write_search(one, known)]
    db.session.flush()
    if reworded := [{"reworded": one.reworded, "reader": one.user_id} for one in taken if one.reworded]:
        db.session.connection().execute(_REWORDED, reworded)


_REWORDED = (
    update(cast("Table", SearchLog.__table__))
    .where(
        SearchLog.token == bindparam("reworded"),
        SearchLog.clicked.is_(None),
        SearchLog.user_id.is_not_distinct_from(bindparam("reader", type_=Integer)),
    )
    .values(is_reworded=True)
)


def _write_search(one: _Search, known: dict[str | None, SearchLog]) -> bool:
    """Put a search on its row; say whether it was taken."""
    entry = known.get(one.token)
    is_new = entry is None
    if entry is None:
        entry = known[one.token] = SearchLog(token=one.token)
        db.session.add(entry)
    elif entry.user_id != one.user_id or entry.at > one.at:
        # The browser changed hands, or another process wrote what came later first.
        return False
    if one.is_first or is_new:
        entry.words, entry.key = one.words, key_of(one.words)
        entry.at, entry.total, entry.took_ms = one.at, one.total, one.took_ms
        entry.filters = dict(one.filters)
    else:
        # A filter chosen later belongs to the search; what it found at first stays its count.
        entry.filters = {**entry.filters, **one.filters}
    entry.language, entry.viewer_kind, entry.user_id = one.language, one.viewer_kind, one.user_id
    entry.cohort, entry.is_degraded = one.cohort, one.is_degraded
    return True


def _write_click(one: _Click) -> None:
    db.session.execute(
        update(SearchLog)
        .where(
            SearchLog.token == one.token,
            SearchLog.user_id.is_(None) if one.user_id is None else SearchLog.user_id == one.user_id,
            SearchLog.clicked.is_(None),
            SearchLog.at > one.at - CLICKED_WITHIN,
        )
        .values(clicked=one.document_id, clicked_rank=one.rank, clicked_at=one.at, is_reworded=False)
    )


def _write_request(one: _Request) -> None:
    last = db.session.scalar(
        select(SearchLog)
        .where(
            SearchLog.user_id == one.user_id,
            SearchLog.at > one.at - REQUEST_WITHIN,
            SearchLog.at <= one.at,
            or_(SearchLog.record_id.is_(None), SearchLog.record_id == one.record_id),
        )
        .order_by(SearchLog.id.desc())
        .limit(1)
    )
    if last is not None:
        last.record_id = one.record_id
