"""Searches that people keep, and the mails that say when something new matches one.

A search is looked at with its owner's rights of that moment, so a mail tells nothing its reader may not read.  New is
what changed since the last look and was not told before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import current_app
from flask_babel import gettext
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import func, select, update

from portal.access import Viewer
from portal.accounts.models import User
from portal.errors import Invalid
from portal.extensions import count_affected, db, now
from portal.mail import messages
from portal.search.analysis import is_run
from portal.search.answer import answer
from portal.search.current import engine
from portal.search.models import SavedSearch
from portal.search.query import LONGEST_OPERATED, parse
from portal.search.request import RequestError, SearchRequest
from portal.search.results import Hit
from portal.search.sources import registry

MOST_SAVED = 50
LONGEST_NAME = 120
EVERY: Mapping[str, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
PEOPLE_AT_ONCE = 20
MOST_TOLD = 20
LOOKED_AT = 60
REMEMBERED = 500
OVERLAP = timedelta(minutes=15)
"""A document may reach the index some time after its change: what is told is remembered, so this tells none twice."""
PAUSE_WITHOUT_ENGINE = timedelta(minutes=5)
LONGEST_RUN = 4
SALT = "saved searches"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is new for one saved search; `has_more` when there is more than a mail lists."""

    name: str
    url: str
    hits: tuple[Hit, ...]
    has_more: bool


def save(request: SearchRequest, *, by: Viewer, name: str, every: str) -> SavedSearch:
    """Keep a search and commit.

    Raises:
        Invalid: there is nothing to search, or too many are kept already, or a value cannot be used.
    """
    if by.user_id is None:
        raise Invalid({"": gettext("Sign in to keep searches.")})
    if not request.text and not request.filters:
        raise Invalid({"name": gettext("Search for something first: words, or a filter.")})
    count = db.session.scalar(select(func.count()).select_from(SavedSearch).where(SavedSearch.user_id == by.user_id))
    if (count or 0) >= MOST_SAVED:
        raise Invalid({"name": gettext("You keep %(most)s searches already. Delete one first.", most=MOST_SAVED)})
    at = now()
    saved = SavedSearch(
        user_id=by.user_id,
        name=_checked_name(name or request.text),
        text=request.text,
        filters={facet: list(values) for facet, values in request.filters.items()},
        every=_checked_every(every),
        changed_since=at,
        next_check_at=at + EVERY[_checked_every(every)],
    )
    db.session.add(saved)
    db.session.commit()
    return saved


def change(saved: SavedSearch, *, name: str, every: str) -> None:
    """Rename a search, look at it more or less often, and commit.

    Raises:
        Invalid: a value cannot be used.
    """
    saved.name = _checked_name(name)
    if saved.every != _checked_every(every):
        saved.every = every
        saved.next_check_at = now() + EVERY[every]
    db.session.commit()


def pause(saved: SavedSearch) -> None:
    """Write no more mails about a search, and commit."""
    saved.is_paused = True
    db.session.commit()


def resume(saved: SavedSearch) -> None:
    """Write mails again about what changes from now on, and commit."""
    at = now()
    saved.is_paused, saved.changed_since, saved.next_check_at = False, at, at + EVERY[saved.every]
    db.session.commit()


def delete(saved: SavedSearch) -> None:
    """Forget a search and commit."""
    db.session.delete(saved)
    db.session.commit()


def pause_all(user_id: int) -> None:
    """Write no more mails to somebody about any search, and commit."""
    db.session.execute(
        update(SavedSearch)
        .where(SavedSearch.user_id == user_id)
        .values(is_paused=True)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def load_all(user_id: int) -> Sequence[SavedSearch]:
    """Return somebody's searches by name."""
    return db.session.scalars(
        select(SavedSearch).where(SavedSearch.user_id == user_id).order_by(func.lower(SavedSearch.name), SavedSearch.id)
    ).all()


def find(user_id: int, saved_id: int) -> SavedSearch | None:
    """Return one of somebody's own searches."""
    return db.session.scalar(select(SavedSearch).where(SavedSearch.id == saved_id, SavedSearch.user_id == user_id))


def path_of(saved: SavedSearch) -> str:
    """Return the address of a search."""
    pairs = [("q", saved.text)] if saved.text else []
    pairs += [(facet, value) for facet, values in saved.filters.items() for value in values]
    return "/search?" + urlencode(pairs)


def token_of(user_id: int) -> str:
    """Return what in a mail's link pauses its reader's searches, without signing in."""
    return str(_signer().dumps(user_id))


def read_token(token: str) -> int | None:
    """Return whose searches a link pauses; None for one that is not ours."""
    try:
        user_id = _signer().loads(token)
    except BadSignature:
        return None
    return user_id if isinstance(user_id, int) else None


def write_news(most: int = PEOPLE_AT_ONCE) -> int:
    """Look at what is due of a bounded number of people, and queue one mail to each who has news; return how many.

    Several workers may do so at once: what one took the other leaves.  Without an engine everything waits.
    """
    at = now()
    due = db.session.scalars(
        select(SavedSearch.user_id)
        .where(SavedSearch.is_paused.is_(False), SavedSearch.next_check_at <= at)
        .group_by(SavedSearch.user_id)
        .order_by(func.min(SavedSearch.next_check_at))
        .limit(most)
    ).all()
    return sum(_write_to(user_id, at) for user_id in due)


def _write_to(user_id: int, at: datetime) -> bool:
    user = db.session.get(User, user_id)
    rows = db.session.scalars(
        select(SavedSearch)
        .where(SavedSearch.user_id == user_id, SavedSearch.is_paused.is_(False), SavedSearch.next_check_at <= at)
        .order_by(SavedSearch.id)
        .limit(MOST_SAVED)
    ).all()
    can_read = user is not None and user.is_active
    found = {saved.id: _look(saved, user.viewer) if user is not None and can_read else () for saved in rows}
    # What the engine was asked is over before the transaction that writes begins: its lock is held for a moment.
    db.session.rollback()
    news = []
    for saved in rows:
        hits = found[saved.id]
        if not _take(saved, at, hits):
            continue
        if hits:
            news.append(_news(saved, hits))
    if news and user is not None:
        messages.queue(
            user.email,
            "saved_searches",
            language=user.locale,
            news=news,
            name=user.name,
            token=token_of(user.id),
        )
    db.session.commit()
    return bool(news)


def _look(saved: SavedSearch, viewer: Viewer) -> tuple[Hit, ...] | None:
    """Return what is new; None when the engine cannot answer."""
    try:
        request = SearchRequest(
            viewer=viewer,
            text=_all_words(saved.text),
            filters={facet: tuple(values) for facet, values in saved.filters.items()},
            sort="newest",
            size=LOOKED_AT,
            with_facets=False,
            with_highlights=False,
            with_correction=False,
        )
    except RequestError:
        # A filter that this person may no longer use: nothing is theirs to be told.
        return ()
    result = answer(request, engine=engine(), registry=registry(), locale="en")
    if result.degraded:
        return None
    since, told = saved.changed_since - OVERLAP, set(saved.told)
    return tuple(hit for hit in result.hits if hit.updated_at and hit.updated_at > since and hit.id not in told)


def _all_words(text: str) -> str:
    """Return the text so that every word must be found: newest first, one word in common is no news.

    A longer run of Chinese is left as it is; as a phrase it would hardly ever be met.
    """
    words = [word.text for word in parse(text).typed if not (is_run(word.text) and len(word.text) > LONGEST_RUN)]
    strict = " ".join([text, *(f'"{word}"' for word in words)])
    return strict if len(strict) <= LONGEST_OPERATED else text


def _take(saved: SavedSearch, at: datetime, hits: tuple[Hit, ...] | None) -> bool:
    """Move a search on in the caller's transaction; return whether it was this worker's to tell."""
    values: dict[str, Any] = {"next_check_at": at + PAUSE_WITHOUT_ENGINE}
    if hits is not None:
        values = {"next_check_at": at + EVERY[saved.every], "changed_since": at}
    if hits:
        told = [*(hit.id for hit in hits), *saved.told]
        values |= {"told": told[:REMEMBERED], "last_told_at": at}
    taken = db.session.execute(
        update(SavedSearch)
        .where(
            SavedSearch.id == saved.id,
            SavedSearch.next_check_at <= at,
            SavedSearch.is_paused.is_(False),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(count_affected(taken))


def _news(saved: SavedSearch, hits: tuple[Hit, ...]) -> News:
    return News(name=saved.name, url=path_of(saved), hits=hits[:MOST_TOLD], has_more=len(hits) > MOST_TOLD)


def _checked_name(name: str) -> str:
    name = " ".join("".join(ch if ch.isprintable() else " " for ch in name).split())
    if not name:
        raise Invalid({"name": gettext("Give the search a name.")})
    return name[:LONGEST_NAME]


def _checked_every(every: str) -> str:
    if every not in EVERY:
        raise Invalid({"every": gettext("Choose how often: every hour, day or week.")})
    return every


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt=SALT)
