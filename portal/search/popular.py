"""What several different readers searched and found, offered to others of their kind.

Never what one person searched: words need a minimum of different readers, customers of different companies, and each
word must stand in a document that every reader of the kind may read.  The worker counts them anew now and then.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select

from portal.access import Role, Viewer, viewer_for
from portal.accounts.models import User
from portal.extensions import db, now
from portal.search.current import engine
from portal.search.engine import EngineError, SearchEngine
from portal.search.log import key_of
from portal.search.models import PopularSearch, SearchLog
from portal.search.privacy import HIDDEN
from portal.search.request import SearchRequest

LEAST_PEOPLE = 3
LOOKED_BACK = timedelta(days=60)
CANDIDATES = 200
KEPT = 100
LONGEST = 80
MOST_WORDS = 8

ROLES: Mapping[str, tuple[Role, ...]] = MappingProxyType(
    {
        "anonymous": (Role.ANONYMOUS,),
        "customer": (Role.CUSTOMER,),
        "staff": (Role.AGENT, Role.EDITOR, Role.MANAGER, Role.ADMIN),
    }
)


def audiences_of(viewer: Viewer) -> tuple[str, ...]:
    """Return whose searches may be offered: those of readers who may read no more than this one."""
    if viewer.is_staff:
        return tuple(ROLES)
    return ("anonymous", "customer") if viewer.role == Role.CUSTOMER else ("anonymous",)


def load(viewer: Viewer, locale: str, limit: int = 6) -> list[str]:
    """Return what is searched most by readers like this one, in the language of the page."""
    rows = db.session.execute(
        select(PopularSearch.key, PopularSearch.words)
        .where(PopularSearch.audience.in_(audiences_of(viewer)), PopularSearch.language == locale)
        .order_by(PopularSearch.people.desc(), PopularSearch.searches.desc(), PopularSearch.id)
        .limit(limit * len(ROLES))
    )
    return list({row[0]: row[1] for row in rows}.values())[:limit]


def complete(viewer: Viewer, text: str, limit: int = 3) -> list[str]:
    """Return searches that begin as typed, or have a word that does."""
    key = key_of(text)
    if not key:
        return []
    rows = db.session.execute(
        select(PopularSearch.key, PopularSearch.words)
        .where(
            PopularSearch.audience.in_(audiences_of(viewer)),
            or_(
                PopularSearch.key.startswith(key, autoescape=True),
                PopularSearch.key.contains(" " + key, autoescape=True),
            ),
        )
        .order_by(PopularSearch.people.desc(), PopularSearch.searches.desc(), PopularSearch.id)
        .limit(limit * len(ROLES))
    )
    return [words for found, words in {row[0]: row[1] for row in rows}.items() if found != key][:limit]


def refresh() -> int:
    """Count anew and commit; returns how many searches are popular.  Without an engine all stays as it was."""
    at = now()
    count = 0
    for audience in ROLES:
        candidates = _candidates(audience)
        db.session.rollback()
        try:
            chosen = [row for row in candidates if _is_found(row["words"], audience, engine())][:KEPT]
        except EngineError:
            return 0
        db.session.execute(
            delete(PopularSearch).where(PopularSearch.audience == audience).execution_options(synchronize_session=False)
        )
        db.session.add_all(PopularSearch(audience=audience, refreshed_at=at, **row) for row in chosen)
        db.session.commit()
        count += len(chosen)
    return count


def _candidates(audience: str) -> list[dict[str, Any]]:
    people = _people(audience)
    rows = db.session.execute(
        select(SearchLog.key, SearchLog.language, func.max(SearchLog.words), people, func.count())
        .outerjoin(User, User.id == SearchLog.user_id)
        .where(
            SearchLog.viewer_kind.in_([role.value for role in ROLES[audience]]),
            SearchLog.at > now() - LOOKED_BACK,
            SearchLog.total > 0,
            SearchLog.key != "",
            func.length(SearchLog.key) <= LONGEST,
            SearchLog.words.not_like(f"%{HIDDEN}%"),
        )
        .group_by(SearchLog.key, SearchLog.language)
        .having(people >= LEAST_PEOPLE)
        .order_by(people.desc(), func.count().desc(), SearchLog.key)
        .limit(CANDIDATES)
    )
    return [
        {"key": row[0], "language": row[1], "words": row[2][:LONGEST], "people": row[3], "searches": row[4]}
        for row in rows
    ]


def _people(audience: str) -> ColumnElement[int]:
    """Count different readers: browsers that were given different numbers, companies, members of the staff."""
    if audience == "anonymous":
        return func.count(SearchLog.cohort.distinct())
    if audience == "customer":
        return func.count(func.coalesce(User.customer_id, -User.id).distinct())
    return func.count(SearchLog.user_id.distinct())


def _is_found(words: str, audience: str, searched: SearchEngine) -> bool:
    """Say whether every word stands where any reader of this kind may read."""
    request = SearchRequest(
        viewer=viewer_for(ROLES[audience][0]), text=words, size=1, with_facets=False, with_highlights=False
    )
    if not 1 <= len(request.query.typed) <= MOST_WORDS or request.query.operators:
        return False
    found = searched.search(request)
    return found.total > 0 and not found.missing_words
