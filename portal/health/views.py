"""`GET /healthz`, `GET /readyz`, `GET /metrics`: for proxies, containers and Prometheus."""

from dataclasses import asdict

from flask import Blueprint, Flask, Response, jsonify
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from portal.access import Permission
from portal.accounts.guard import needs
from portal.health import traffic
from portal.health.state import Parts, check_readiness

blueprint = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    """Give the portal its addresses for machines."""
    app.register_blueprint(blueprint)
    traffic.init_app(app)


@blueprint.get("/healthz")
@needs(Permission.READ)
def alive() -> ResponseReturnValue:
    """Say that this process answers; nothing else is asked."""
    return _for_now(jsonify(status="alive"))


@blueprint.get("/readyz")
@needs(Permission.READ)
def ready() -> ResponseReturnValue:
    """Say whether this process can serve: 200, or 503 without its database or this version's tables."""
    found = check_readiness()
    return _for_now(jsonify(ready=found.is_ready, **asdict(found))), 200 if found.is_ready else 503


@blueprint.get("/metrics")
@needs(Permission.READ_STAFF)
def metrics() -> ResponseReturnValue:
    """Give the figures to staff, or to a program with a member of staff's API token."""
    parts = CollectorRegistry()
    parts.register(Parts())
    told = generate_latest(parts) + generate_latest(traffic.registry())
    return _for_now(Response(told, content_type=CONTENT_TYPE_LATEST))


def _for_now(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer
