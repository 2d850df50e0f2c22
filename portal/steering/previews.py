"""What a rule or a configuration would change in the first hits, tried on what people searched lately.

The worker tries it in slices of bounded time.  Only queries whose plan differs with the proposal are run at all: for
the others nothing can change.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask_babel import gettext
from sqlalchemy import delete, func, select, update

from portal import audit, outbox
from portal.access import ANONYMOUS, Permission, Role, Viewer, viewer_for
from portal.errors import Missing
from portal.extensions import count_affected, db, now
from portal.search import answer
from portal.search.engine import EngineError, SearchEngine
from portal.search.guidance import Guidance
from portal.search.models import SearchLog
from portal.search.privacy import HIDDEN
from portal.search.query import parse
from portal.search.ranking import default_synonyms
from portal.search.request import RequestError
from portal.steering import in_force, rules, synonyms
from portal.steering.models import Configuration, Failure, Preview, PreviewedChange, SearchRule, Synonym, failed

SEARCHES = 1_000
KEPT = 50
"""So many previews are kept; older ones are forgotten when a new one is asked for."""


@dataclass(frozen=True, slots=True)
class Logged:
    """What was searched, by what kind of viewer; `filters` is JSON."""

    words: str
    viewer_kind: str
    filters: str

    @property
    def viewer(self) -> Viewer:
        """Somebody of the kind that searched: what all of them may read."""
        return viewer_like(self.viewer_kind)

    @property
    def chosen(self) -> dict[str, tuple[str, ...]]:
        """The filters that were chosen."""
        return {name: tuple(values) for name, values in json.loads(self.filters).items()}


@dataclass(frozen=True, slots=True)
class LoggedQuery(Logged):
    """What was searched, and how often."""

    searches: int


def viewer_like(kind: str) -> Viewer:
    """Return a viewer of a kind, without an account."""
    return viewer_for(Role(kind)) if kind in tuple(Role) else ANONYMOUS


def request(kind: str, object_id: int, *, by: Viewer) -> Preview:
    """Ask for a preview and commit; the worker makes it.

    Raises:
        Forbidden: `by` may not steer the search.
        Missing: there is no such rule or configuration.
    """
    by.require(Permission.STEER_SEARCH)
    thing = _find(kind, object_id)
    if thing is None:
        raise Missing(gettext("There is no such rule."))
    preview = Preview(
        kind=kind,
        object_id=object_id,
        name=thing.name if isinstance(thing, Configuration) else thing.words,
        requested_by_id=by.user_id,
        up_to_log_id=db.session.scalar(select(func.max(SearchLog.id))),
    )
    db.session.add(preview)
    db.session.flush()
    db.session.execute(delete(Preview).where(Preview.id <= preview.id - KEPT))
    audit.append(f"{kind}.preview", by=by, kind=kind, object_id=object_id)
    db.session.commit()
    outbox.nudge()
    return preview


def find_latest(kind: str, object_id: int) -> Preview | None:
    """Return the newest preview of a rule or a configuration."""
    wanted = select(Preview).where(Preview.kind == kind, Preview.object_id == object_id)
    return db.session.scalars(wanted.order_by(Preview.id.desc()).limit(1)).first()


def go_on(engine: SearchEngine, *, budget_s: float) -> bool:
    """Work on the oldest open preview for a while and commit; returns whether there was one."""
    open_ones = select(Preview).where(Preview.state.in_(["requested", "running"]))
    preview = db.session.scalars(open_ones.order_by(Preview.id).limit(1)).first()
    if preview is None:
        return False
    began_at = preview.cursor
    thing = _find(preview.kind, preview.object_id)
    try:
        found = (
            _Slice(error=Failure.RULE_REMOVED)
            if thing is None
            else _try(preview, _sides(thing), engine, until=time.monotonic() + budget_s)
        )
    except EngineError as error:
        found = _Slice(error=f"{Failure.ENGINE}:{error}")
    _keep(preview, began_at, found)
    return True


@dataclass(slots=True)
class _Slice:
    """What one slice of work found."""

    cursor: int = 0
    queries: int = 0
    searches: int = 0
    touched: int = 0
    changes: Sequence[PreviewedChange] = ()
    error: str = ""


def _keep(preview: Preview, began_at: int, found: _Slice) -> None:
    """Write a slice down, unless another worker did the same one meanwhile."""
    if found.error:
        values = failed(found.error)
    else:
        is_done = found.cursor >= found.queries
        values = {
            "cursor": found.cursor,
            "queries": found.queries,
            "searches": found.searches,
            "touched": Preview.touched + found.touched,
            "state": "done" if is_done else "running",
            "finished_at": now() if is_done else None,
        }
    ours = (Preview.id == preview.id, Preview.cursor == began_at, Preview.state.in_(["requested", "running"]))
    if count_affected(db.session.execute(update(Preview).where(*ours).values(**values))):
        db.session.add_all(found.changes)
        db.session.commit()
    else:
        db.session.rollback()


def _try(preview: Preview, sides: tuple[Guidance, Guidance], engine: SearchEngine, *, until: float) -> _Slice:
    logged = load_logged(preview.up_to_log_id)
    found = _Slice(cursor=preview.cursor, queries=len(logged), searches=sum(query.searches for query in logged))
    changes: list[PreviewedChange] = []
    for query in logged[preview.cursor :]:
        if found.cursor > preview.cursor and time.monotonic() > until:
            break
        found.cursor += 1
        if not can_touch(query, *sides):
            continue
        found.touched += 1
        before, after = (first_hits(engine, query, side) for side in sides)
        if [hit["id"] for hit in before] != [hit["id"] for hit in after]:
            changes.append(
                PreviewedChange(
                    preview_id=preview.id,
                    words=query.words,
                    viewer_kind=query.viewer_kind,
                    searches=query.searches,
                    before=before,
                    after=after,
                )
            )
    found.changes = changes
    return found


def load_logged(up_to_id: int | None) -> list[LoggedQuery]:
    """Return the latest logged searches, alike ones together, the latest first."""
    if up_to_id is None:
        return []
    rows = db.session.execute(
        select(SearchLog.words, SearchLog.viewer_kind, SearchLog.filters)
        .where(SearchLog.id <= up_to_id, SearchLog.words.not_like(f"%{HIDDEN}%"))
        .order_by(SearchLog.id.desc())
        .limit(SEARCHES)
    )
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.words, row.viewer_kind, json.dumps(row.filters or {}, sort_keys=True))
        counts[key] = counts.get(key, 0) + 1
    return [LoggedQuery(*key, searches=count) for key, count in counts.items()]


def can_touch(query: LoggedQuery, before: Guidance, after: Guidance) -> bool:
    """Say whether the two look for anything different; otherwise the hits are the same."""
    words, is_staff = parse(query.words), query.viewer.is_staff
    return before.plan(words, is_staff=is_staff) != after.plan(words, is_staff=is_staff) or before.steering_of(
        words
    ) != after.steering_of(words)


def first_hits(engine: SearchEngine, query: LoggedQuery, guidance: Guidance) -> list[dict[str, str]]:
    """Return the first hits as `{"id", "title"}`; a search that is refused has none."""
    try:
        hits = answer.first_hits(engine, query.viewer, query.words, filters=query.chosen, guidance=guidance)
    except RequestError:
        return []
    return [{"id": hit.id, "title": hit.title} for hit in hits]


def _find(kind: str, object_id: int) -> Synonym | SearchRule | Configuration | None:
    models: Mapping[str, Any] = {"synonym": Synonym, "rule": SearchRule, "configuration": Configuration}
    found: Synonym | SearchRule | Configuration | None = db.session.get(models[kind], object_id)
    return found


def _sides(thing: Synonym | SearchRule | Configuration) -> tuple[Guidance, Guidance]:
    """Return the steering without the proposal and with it; everything else is as it is in force now."""
    there = in_force.read()
    if isinstance(thing, Configuration):
        return there, in_force.read_with(thing)
    if isinstance(thing, Synonym):
        others = [rule.searched() for rule in synonyms.load_active() if rule.id != thing.id]
        without = (*default_synonyms(), *others)
        return replace(there, synonyms=without), replace(there, synonyms=(*without, synonyms.rule_of(thing).searched()))
    other_rules = tuple(rule for rule in there.rules if rule.id != thing.id)
    return replace(there, rules=other_rules), replace(there, rules=(*other_rules, rules.rule_of(thing)))


@dataclass(frozen=True, slots=True)
class Place:
    """One document of a changed list."""

    title: str
    id: str
    moved: str
    """same, up, down, in (it was not there before) or out (it is there no more)"""
    by: int = 0


def compare(change: PreviewedChange) -> tuple[list[Place], list[Place]]:
    """Return both lists with what became of each document."""
    old = {hit["id"]: rank for rank, hit in enumerate(change.before)}
    new = {hit["id"]: rank for rank, hit in enumerate(change.after)}
    before = [Place(hit["title"], hit["id"], "same" if hit["id"] in new else "out") for hit in change.before]
    after = []
    for rank, hit in enumerate(change.after):
        step = old[hit["id"]] - rank if hit["id"] in old else 0
        moved = "in" if hit["id"] not in old else "up" if step > 0 else "down" if step < 0 else "same"
        after.append(Place(hit["title"], hit["id"], moved, abs(step)))
    return before, after
