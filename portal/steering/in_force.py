"""What steers the search of this process: read anew every few seconds, so that no process needs a word about a change.

What was read last goes on when the database does not answer: a search never fails for its rules.
"""

import time
from dataclasses import fields, replace

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.search.guidance import Guidance, default_guidance
from portal.search.ranking import WEIGHTS, Weights, default_synonyms
from portal.steering import rules, synonyms
from portal.steering.models import Configuration

log = structlog.get_logger(__name__)


class GuidanceInForce:
    """What engines ask at every query; at most `EVERY_S` old.  One object a process."""

    EVERY_S = 3.0

    def __init__(self) -> None:
        self._known: Guidance | None = None
        self._read_at = 0.0

    def __call__(self) -> Guidance:
        """Return the steering in force."""
        if self._known is None or time.monotonic() - self._read_at >= self.EVERY_S:
            try:
                self._known = read()
            except SQLAlchemyError as error:
                db.session.rollback()
                log.warning("the rules of the search could not be read", reason=type(error).__name__)
                self._known = self._known or default_guidance()
            self._read_at = time.monotonic()
        return self._known


def read() -> Guidance:
    """Read what is in force at this moment: three queries."""
    return Guidance(
        synonyms=(*default_synonyms(), *(rule.searched() for rule in synonyms.load_active())),
        weights=weights_of(active_weights()),
        rules=rules.load_active(),
    )


def read_with(configuration: Configuration | None) -> Guidance:
    """Read what is in force, with a configuration's weights, or the product's own, in place of those in use."""
    return replace(read(), weights=weights_of(configuration.weights if configuration else {}))


def active_weights() -> dict[str, float]:
    """Return what the configuration in use changes in the product's own weights."""
    return db.session.scalar(select(Configuration.weights).where(Configuration.is_active.is_(True))) or {}


def weights_of(changed: dict[str, float]) -> Weights:
    """Return the product's weights with some changed; names that this version does not know are left out."""
    known = {field.name for field in fields(Weights)}
    return replace(WEIGHTS, **{name: value for name, value in changed.items() if name in known})
