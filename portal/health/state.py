"""Looks at the parts that a portal needs, and at those it only misses.

Database and migrations are required to serve.  Search and queue are not: without them pages still work, so they are
reported and do not take a process out of a proxy's rotation.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from flask import current_app
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from portal import outbox, queue
from portal.extensions import db, now
from portal.mail import messages
from portal.mail.models import Message
from portal.search import indices
from portal.search.current import engine
from portal.search.engine import EngineError
from portal.search.models import Heartbeat, SearchLog
from portal.search.results import EngineHealth
from portal.settings import Settings

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
LAST_BACKUP = "last_backup"
OLDEST_BACKUP = timedelta(hours=26)
"""A backup a day, and two hours for it to be late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Which parts answer."""

    database: bool
    migrations: bool
    search: bool
    queue: bool

    @property
    def is_ready(self) -> bool:
        """Can serve: what is missing besides costs comfort only."""
        return self.database and self.migrations


def check_readiness() -> Readiness:
    """Ask every part.  Never raises, and takes a few seconds at the most when parts do not answer."""
    migrations = False
    try:
        migrations = is_migrated()
        database = True
    except SQLAlchemyError:
        database = False
    return Readiness(database=database, migrations=migrations, search=_engine_health().is_up, queue=queue.is_up())


def is_migrated() -> bool:
    """Say whether the tables are those that this version expects.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found == revisions()[-1]


@cache
def revisions() -> tuple[str, ...]:
    """Return the numbers of this version's migrations, the newest last: their files' names begin with them."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")))


def backup_age_s(settings: Settings) -> float:
    """Return how long ago a backup was noted: `casebook backup` touches a file once one is whole."""
    try:
        noted = (settings.data_dir / LAST_BACKUP).stat().st_mtime
    except OSError:
        return float("inf")
    return max(0.0, now().timestamp() - noted)


def _engine_health() -> EngineHealth:
    try:
        return engine().health()
    except EngineError as error:
        return EngineHealth(engine="", is_up=False, detail=str(error))


class Parts(Collector):
    """Figures for Prometheus, read from SQL and the engine at each scrape, so that any process may answer."""

    def collect(self) -> Iterator[Metric]:
        """Give every figure once."""
        counts = outbox.statistics()
        yield GaugeMetricFamily("casebook_objects", "Objects that have a document", value=counts.objects)
        yield GaugeMetricFamily("casebook_index_pending", "Documents the index is behind by", value=counts.pending)
        yield GaugeMetricFamily("casebook_index_set_aside", "Documents the engine refused", value=counts.set_aside)
        yield GaugeMetricFamily(
            "casebook_index_oldest_pending_seconds", "Age of the oldest waiting change", value=counts.oldest_pending_s
        )
        health = _engine_health()
        yield GaugeMetricFamily("casebook_index_documents", "Documents in the live index", value=health.documents)
        yield GaugeMetricFamily("casebook_search_up", "Whether the engine answers", value=health.is_up)
        yield GaugeMetricFamily("casebook_queue_up", "Whether the queue answers", value=queue.is_up())
        yield GaugeMetricFamily("casebook_workers", "Running workers", value=len(indices.workers()))
        waiting = db.session.scalar(select(func.count()).select_from(Message).where(Message.sent_at.is_(None))) or 0
        yield GaugeMetricFamily("casebook_mails_waiting", "Mails not sent yet", value=waiting)
        given_up = messages.set_aside_count()
        yield GaugeMetricFamily("casebook_mails_set_aside", "Mails refused too often", value=given_up)
        at = now()
        last = db.session.scalar(select(func.max(Heartbeat.at)).where(Heartbeat.at <= at + indices.SIGN_OF_LIFE))
        silent = (at - last).total_seconds() if last else float("inf")
        yield GaugeMetricFamily("casebook_worker_silent_seconds", "Since a worker's last sign of life", value=silent)
        yield from self._disk()
        age_s = backup_age_s(current_app.extensions["casebook.settings"])
        yield GaugeMetricFamily("casebook_backup_age_seconds", "Since the last backup that was noted", value=age_s)
        yield from self._searches()

    def _disk(self) -> Iterator[Metric]:
        settings: Settings = current_app.extensions["casebook.settings"]
        disk = shutil.disk_usage(settings.data_dir)
        yield GaugeMetricFamily("casebook_disk_free_bytes", "Room left for the data folder", value=disk.free)
        yield GaugeMetricFamily(
            "casebook_disk_free_ratio", "The same as a part of the disk", value=disk.free / disk.total
        )

    def _searches(self) -> Iterator[Metric]:
        recent = SearchLog.at >= now() - timedelta(minutes=5)
        made, degraded, empty, took_ms = db.session.execute(
            select(
                func.count(),
                func.count().filter(SearchLog.is_degraded),
                func.count().filter(SearchLog.total == 0),
                func.avg(SearchLog.took_ms),
            ).where(recent)
        ).one()
        yield GaugeMetricFamily("casebook_searches_5m", "Searches of the last five minutes", value=made)
        yield GaugeMetricFamily("casebook_searches_degraded_5m", "Those answered without the engine", value=degraded)
        yield GaugeMetricFamily("casebook_searches_empty_5m", "Those that found nothing", value=empty)
        yield GaugeMetricFamily(
            "casebook_search_seconds_5m", "What those took on average", value=float(took_ms or 0) / 1000
        )
