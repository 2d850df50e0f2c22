"""One way from an address to an answer, for the page and for programs: read, answered, noted.

What a browser remembers of its last search lies in its own session cookie and nowhere else.
"""

import secrets
import time
from dataclasses import dataclass

from flask import g, request, session
from flask_babel import get_locale

from portal.accounts.guard import current_viewer
from portal.search import log as search_log
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.log import COHORTS, Trail
from portal.search.privacy import is_followed
from portal.search.request import SearchRequest
from portal.search.results import SearchResult
from portal.search.sources import registry

TRAIL, COHORT = "search", "cohort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was asked and answered; `search_id` is what a click is added by, None when nothing was noted."""

    asked: SearchRequest
    result: SearchResult
    search_id: str | None
    locale: str


def ask(*, most_named: int | None = None) -> Answered:
    """Answer the search in the request's address, as whoever reads, and note it; for `most_named` see `answer`.

    Raises:
        RequestError: a parameter cannot be used.
    """
    asked = SearchRequest.from_args(request.args, current_viewer())
    locale = str(get_locale())
    result = answer(asked, engine=engine(), registry=registry(), locale=locale, most_named=most_named)
    return Answered(asked=asked, result=result, search_id=_note(asked, result, locale), locale=locale)


def may_be_noted() -> bool:
    """Say whether what is searched now may be noted: neither the browser nor the account asks that it is not."""
    account = g.get("account")
    return is_followed(request.headers) and (account is None or account.keeps_searches)


def note_click(search_id: str, document_id: str, rank: int) -> None:
    """Note what was opened; the next search is a new one, whatever its words."""
    session.pop(TRAIL, None)
    if may_be_noted():
        search_log.note_click(search_id, user_id=current_viewer().user_id, document_id=document_id, rank=rank)


def _note(asked: SearchRequest, result: SearchResult, locale: str) -> str | None:
    if not may_be_noted():
        return None
    is_browser = "Authorization" not in request.headers
    cohort = _cohort() if is_browser and not asked.viewer.is_signed_in else None
    noted = search_log.note(asked, result, locale=locale, trail=_trail() if is_browser else None, cohort=cohort)
    if noted is None:
        return None
    if is_browser:
        session[TRAIL] = [noted.trail.token, noted.trail.words, noted.trail.at, asked.viewer.user_id]
        if not asked.viewer.is_signed_in and cohort is None:
            session[COHORT] = secrets.randbelow(COHORTS)
    return noted.token


def _trail() -> Trail | None:
    kept = session.get(TRAIL)
    if not isinstance(kept, list) or len(kept) != 4 or kept[3] != current_viewer().user_id:
        return None
    return Trail(token=str(kept[0]), words=str(kept[1]), at=min(float(kept[2]), time.time()))


def _cohort() -> int | None:
    """Return the number a browser was given before; one that keeps no cookies has none and is nobody."""
    kept = session.get(COHORT)
    return kept if isinstance(kept, int) and 0 <= kept < COHORTS else None
