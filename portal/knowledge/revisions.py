"""Every save of an article is a revision, an outbox row and an audit entry, in one transaction.

An article's `version` counts its saves; a revision bears the number of the version it keeps, so whoever saves over a
newer version can be shown both, and what both began from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from portal import audit, outbox
from portal.access import Viewer
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.knowledge import fields
from portal.knowledge.models import Article, Revision

LONGEST_NOTE = 300


def find_revision(article: Article, number: int) -> Revision | None:
    """Return the revision of a number."""
    return db.session.scalar(select(Revision).where(Revision.article_id == article.id, Revision.number == number))


def commit(
    article: Article,
    *,
    by: Viewer,
    action: str,
    note: str,
    given: Mapping[str, Any],
    also: Sequence[Article] = (),
) -> None:
    """Write the changed article with its revision, outbox rows and audit entry, commit, and wake the indexer."""
    note = " ".join(note.split())[:LONGEST_NOTE]
    try:
        db.session.flush()
        db.session.add(
            Revision(
                article_id=article.id,
                number=article.version,
                by_id=by.user_id,
                note=note,
                content=fields.snapshot(article),
            )
        )
        outbox.record(article, *article.partners, *also)
        audit.append(
            action,
            by=by,
            kind="article",
            object_id=article.id,
            details={"version": article.version, "fields": sorted(given)},
        )
        db.session.commit()
    except StaleDataError:
        db.session.rollback()
        raise conflict(article, given) from None
    except IntegrityError as error:
        db.session.rollback()
        raise Invalid(
            {"": gettext("Another article was saved under the same address or id at this moment. Save again.")}
        ) from error
    outbox.nudge()


def conflict(article: Article, given: Mapping[str, Any]) -> Conflict:
    """Return what refuses a save over a newer version, with both in it."""
    return Conflict(
        gettext("Somebody has saved version %(number)s in between. Compare both and decide.", number=article.version),
        current=fields.described(article) | {"version": article.version, "state": article.state},
        given=given,
    )
