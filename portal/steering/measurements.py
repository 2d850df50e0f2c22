"""Measuring the ranking: by judgements and by clicks, now and over time.

A measurement is asked for, made by the worker in slices, and kept.  Its fingerprint says what was measured; the same
fingerprint would give the same numbers while the content stays the same.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select, update

from portal import audit, outbox
from portal.access import Permission, Viewer
from portal.extensions import db, now
from portal.search import evaluation
from portal.search.answer import first_hits
from portal.search.engine import EngineError, SearchEngine
from portal.search.guidance import Guidance
from portal.search.request import RequestError
from portal.steering import clicks, in_force, judgements
from portal.steering.models import Configuration, Failure, JudgedSet, Measurement, failed
from portal.steering.previews import viewer_like

KEPT = 2_000
"""So many measurements are kept at most; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Task:
    """One query to run: `score` turns the ranked hits into nDCG, reciprocal rank and recall."""

    key: str
    weight: float
    run: Callable[[SearchEngine, Guidance], tuple[float, float, float]]


def request(
    configuration: Configuration | None, judged_set: JudgedSet | None, *, engine_name: str, by: Viewer
) -> Measurement:
    """Ask for a measurement of a configuration, or of the product's own weights, and commit; the worker makes it.

    It is by clicks when no set is given.

    Raises:
        Forbidden: `by` may not steer the search.
    """
    by.require(Permission.STEER_SEARCH)
    made = prepare(configuration, judged_set, engine_name=engine_name)
    made.requested_by_id = by.user_id
    db.session.add(made)
    db.session.flush()
    db.session.execute(delete(Measurement).where(Measurement.id <= made.id - KEPT))
    audit.append("measurement.request", by=by, kind="measurement", object_id=made.id, details={"set": made.set_name})
    db.session.commit()
    outbox.nudge()
    return made


def prepare(configuration: Configuration | None, judged_set: JudgedSet | None, *, engine_name: str) -> Measurement:
    """Return a measurement that is yet to be made and written."""
    return Measurement(
        set_id=judged_set.id if judged_set else None,
        set_name=judged_set.name if judged_set else clicks.NAME,
        is_by_clicks=judged_set is None,
        configuration_id=configuration.id if configuration else None,
        configuration_name=configuration.name if configuration else "",
        fingerprint=fingerprint(configuration, judged_set, engine_name=engine_name),
        engine=engine_name,
        state="requested",
        queries=0,
        scores={},
    )


def fingerprint(configuration: Configuration | None, judged_set: JudgedSet | None, *, engine_name: str) -> str:
    """Return a digest of all that is measured: weights, rules, engine, and queries with their judgements or clicks."""
    weights = asdict(in_force.weights_of(configuration.weights if configuration else {}))
    if judged_set is None:
        asked: object = clicks.newest_id()
    else:
        judged, _ = judgements.load_judged(judged_set)
        asked = [
            judged_set.source,
            judged_set.viewer_kind,
            [[query.id, query.text, sorted(query.relevance.items())] for query in judged],
        ]
    there = in_force.read()
    rules = [[r.is_pin, r.words, r.is_exact, r.document_id, r.position] for r in there.rules]
    written = json.dumps([engine_name, weights, str(there.synonyms), rules, asked], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()


def find_done(
    configuration: Configuration | None, judged_set: JudgedSet | None, *, engine_name: str
) -> Measurement | None:
    """Return the newest measurement of exactly this, if it was made."""
    digest = fingerprint(configuration, judged_set, engine_name=engine_name)
    wanted = select(Measurement).where(Measurement.fingerprint == digest, Measurement.state == "done")
    return db.session.scalars(wanted.order_by(Measurement.id.desc()).limit(1)).first()


def load_open() -> list[Measurement]:
    """Return the measurements that wait or are being made."""
    wanted = select(Measurement).where(Measurement.state.in_(["requested", "running"]))
    return list(db.session.scalars(wanted.order_by(Measurement.id)))


def load_history(set_name: str, *, is_by_clicks: bool, most: int = 30) -> list[Measurement]:
    """Return the latest finished measurements on a set, the oldest of them first."""
    wanted = select(Measurement).where(
        Measurement.set_name == set_name, Measurement.is_by_clicks.is_(is_by_clicks), Measurement.state == "done"
    )
    return list(db.session.scalars(wanted.order_by(Measurement.id.desc()).limit(most)))[::-1]


def go_on(engine: SearchEngine, *, budget_s: float) -> bool:
    """Work on the oldest open measurement for a while and commit; returns whether there was one."""
    measurement = next(iter(load_open()), None)
    if measurement is None:
        return False
    work(measurement, engine, budget_s=budget_s)
    return True


def work(measurement: Measurement, engine: SearchEngine, *, budget_s: float) -> None:
    """Run some of a measurement's queries and commit; another worker's same slice counts once."""
    began_at = measurement.queries
    try:
        values = _slice(measurement, engine, until=time.monotonic() + budget_s)
    except EngineError as error:
        values = failed(f"{Failure.ENGINE}:{error}")
    ours = (
        Measurement.id == measurement.id,
        Measurement.queries == began_at,
        Measurement.state.in_(["requested", "running"]),
    )
    db.session.execute(update(Measurement).where(*ours).values(**values))
    db.session.commit()


def _slice(measurement: Measurement, engine: SearchEngine, *, until: float) -> dict[str, Any]:
    configuration = (
        db.session.get(Configuration, measurement.configuration_id) if measurement.configuration_id else None
    )
    if measurement.configuration_name and configuration is None:
        return failed(Failure.CONFIGURATION_REMOVED)
    judged_set = None
    if not measurement.is_by_clicks:
        judged_set = db.session.get(JudgedSet, measurement.set_id) if measurement.set_id else None
        if judged_set is None:
            return failed(Failure.SET_REMOVED)
    tasks = tasks_of(judged_set)
    guidance = in_force.read_with(configuration)
    scores = dict(measurement.scores)
    done = measurement.queries
    for task in tasks[done:]:
        if done > measurement.queries and time.monotonic() > until:
            break
        scores[task.key] = [*(round(value, 4) for value in task.run(engine, guidance)), round(task.weight, 4)]
        done += 1
    values: dict[str, Any] = {
        "scores": scores,
        "queries": done,
        "total": len(tasks),
        "state": "done" if done >= len(tasks) else "running",
        **dict(zip(("ndcg", "mrr", "recall"), means(scores), strict=True)),
    }
    if done >= len(tasks):
        values["finished_at"] = now()
        if judged_set is not None:
            judged, _ = judgements.load_judged(judged_set)
            unknown = judgements.find_unknown({d for q in judged for d in q.relevance}, source=judged_set.source)
            values |= {"unknown": judgements.listed(unknown), "unknown_count": len(unknown)}
    return values


def means(scores: Mapping[str, Sequence[float]]) -> tuple[float, float, float]:
    """Return the weighted means of nDCG, reciprocal rank and recall."""
    whole = math.fsum(row[3] for row in scores.values())
    if not whole:
        return 0.0, 0.0, 0.0
    first, second, third = (math.fsum(row[at] * row[3] for row in scores.values()) / whole for at in range(3))
    return first, second, third


def tasks_of(judged_set: JudgedSet | None) -> list[Task]:
    """Return what is to be run: each judged query of a set, or each search that ended in a click."""
    if judged_set is None:
        return [Task(click.key, click.weight, _click_scorer(click)) for click in clicks.load()]
    judged, _ = judgements.load_judged(judged_set)
    return [Task(query.id, 1.0, _judged_scorer(query, judged_set)) for query in judged]


def _judged_scorer(
    query: evaluation.JudgedQuery, judged_set: JudgedSet
) -> Callable[[SearchEngine, Guidance], tuple[float, float, float]]:
    def run(engine: SearchEngine, guidance: Guidance) -> tuple[float, float, float]:
        ranked = ranked_names(engine, query, judged_set, guidance)
        scored = evaluation.score(query, ranked)
        return scored.ndcg, scored.reciprocal_rank, scored.recall

    return run


def ranked_names(
    engine: SearchEngine, query: evaluation.JudgedQuery, judged_set: JudgedSet, guidance: Guidance
) -> list[str]:
    """Return the first hits of a judged query by the names they are judged under."""
    viewer, filters = viewer_like(judged_set.viewer_kind), source_filter(judged_set)
    hits = first_hits(engine, viewer, query.text, filters=filters, guidance=guidance)
    has_source = bool(judged_set.source)
    return [judgements.name_of(hit, query.relevance, has_source=has_source) for hit in hits]


def source_filter(judged_set: JudgedSet) -> dict[str, tuple[str, ...]]:
    """Return the filter that keeps a search within what a set is about."""
    return {"source": (judged_set.source,)} if judged_set.source else {}


def _click_scorer(click: clicks.Click) -> Callable[[SearchEngine, Guidance], tuple[float, float, float]]:
    def run(engine: SearchEngine, guidance: Guidance) -> tuple[float, float, float]:
        try:
            hits = first_hits(engine, click.viewer, click.words, filters=click.chosen, guidance=guidance)
        except RequestError:
            return 0.0, 0.0, 0.0
        ranked = [hit.id for hit in hits]
        if click.document_id not in ranked:
            return 0.0, 0.0, 0.0
        rank = ranked.index(click.document_id) + 1
        return 1 / math.log2(rank + 1), 1 / rank, 1.0

    return run


def load_names() -> list[str]:
    """Return the names of all sets that were measured by judgements."""
    wanted = select(Measurement.set_name).where(Measurement.is_by_clicks.is_(False), Measurement.state == "done")
    return list(db.session.scalars(wanted.distinct().order_by(Measurement.set_name)))


def load_failed(most: int = 5) -> list[Measurement]:
    """Return the latest measurements that could not be made."""
    wanted = select(Measurement).where(Measurement.state == "failed")
    return list(db.session.scalars(wanted.order_by(Measurement.id.desc()).limit(most)))
