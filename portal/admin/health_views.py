"""Is it alive, is it ready, and how does it fare: for load balancers and for Prometheus.

Ready means that the database answers and has this version's tables.  Search and queue are reported and not required:
without them saves succeed and search says that it is limited.
"""

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import prometheus_client
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import SQLAlchemyError

from portal import outbox, queue
from portal.access import Permission
from portal.accounts.guard import needs
from portal.extensions import db
from portal.search import indices
from portal.search.current import engine

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the web processes of one machine keep their counts, so that any of them can tell them all."""

blueprint = Blueprint("health", __name__)
_counts = CollectorRegistry()
REQUESTS = Counter("casebook_requests_total", "Requests answered.", ["method", "endpoint", "status"], registry=_counts)
DURATION = Histogram(
    "casebook_request_seconds",
    "How long requests took.",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_counts,
)


@blueprint.get("/healthz")
@needs(Permission.READ)
def is_alive() -> ResponseReturnValue:
    """Say that this process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@needs(Permission.READ)
def is_ready() -> ResponseReturnValue:
    """Say whether requests can be served; 503 where they cannot."""
    database, migrations = _look_at_database()
    health = engine().health()
    is_fine = database == "ok" and migrations == "ok"
    answer = jsonify(
        status="ok" if is_fine else "not ready",
        database=database,
        migrations=migrations,
        search="ok" if health.is_up else "down",
        queue="ok" if queue.is_up() else "down",
    )
    return answer, 200 if is_fine else 503


@blueprint.get("/metrics")
@needs(Permission.READ_STAFF)
def show_metrics() -> Response:
    """Tell Prometheus how things are."""
    registry = CollectorRegistry()
    if os.environ.get(SHARED_FOLDER):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = prometheus_client.generate_latest(registry)
    else:
        text = prometheus_client.generate_latest(_counts)
    return Response(text + prometheus_client.generate_latest(_gauges()), content_type="text/plain; version=0.0.4")


def _gauges() -> CollectorRegistry:
    """Measure what the database and the engine know; the same from whichever process is asked."""
    registry = CollectorRegistry()

    def show(name: str, text: str, value: float) -> None:
        Gauge(f"casebook_{name}", text, registry=registry).set(value)

    counts, health = outbox.statistics(), engine().health()
    show("outbox_pending", "Documents that the index has still to catch up with.", counts.pending)
    show("outbox_set_aside", "Documents that the engine refused.", counts.set_aside)
    show("outbox_oldest_pending_seconds", "How long the oldest has been waiting.", counts.oldest_pending_s)
    show("search_up", "Whether the search engine answers.", health.is_up)
    show("search_documents", "Documents in the live index.", health.documents)
    show("queue_up", "Whether the queue answers.", queue.is_up())
    show("workers", "Workers that are running.", len(indices.workers()))
    return registry


def _look_at_database() -> tuple[str, str]:
    try:
        with db.engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError:
        return "down", "unknown"
    return "ok", "ok" if revision == newest_revision(current_app.extensions["migrate"].directory) else "behind"


@cache
def newest_revision(folder: str) -> str | None:
    """Return the migration that this version's models stand for."""
    return ScriptDirectory(folder).get_current_head()


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Any) -> Any:
    endpoint = request.endpoint or "none"
    if endpoint != "static":
        REQUESTS.labels(request.method, endpoint, response.status_code).inc()
        if "began" in g:
            DURATION.labels(endpoint).observe(time.perf_counter() - g.began)
    return response


def share_counts(folder: Path) -> None:
    """Let the web processes that start from here count together; what an earlier run counted is forgotten."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
    os.environ[SHARED_FOLDER] = str(folder)


def init_app(app: Flask) -> None:
    """Register the addresses and count every request."""
    app.register_blueprint(blueprint)
    app.before_request(_begin)
    app.after_request(_count)
