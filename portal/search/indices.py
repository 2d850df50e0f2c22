"""Asking for a new index, a comparison or a removal: rows that the worker finds, whether or not the queue runs.

The portal never calls the indexer.  What is asked for here is done by whoever works on the index.
"""

import secrets
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from portal import audit, outbox
from portal.access import Viewer
from portal.extensions import db, now
from portal.search.models import BUILDING, Heartbeat, IndexBuild, IndexCheck

SIGN_OF_LIFE = timedelta(seconds=15)
"""A worker that has not been heard of for so long is not running."""


class BuildUnderWay(Exception):
    """There is a rebuild already; two at once would fill two indices and search one."""


def request_build(*, engine: str, prefix: str, by: Viewer | None = None) -> IndexBuild:
    """Ask for a new index beside the live one, and commit.

    Raises:
        BuildUnderWay: one is being built.
    """
    if build_under_way() is not None:
        raise BuildUnderWay
    name = f"{prefix}-{now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    build = IndexBuild(name=name, engine=engine, state="requested", requested_by_id=by.user_id if by else None)
    db.session.add(build)
    try:
        db.session.flush()
        if by is not None:
            audit.append("index.rebuild", by=by, details={"index": name})
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise BuildUnderWay from None
    return build


def build_under_way() -> IndexBuild | None:
    """Return the build that is on its way to being searched, as it stands in the database now."""
    return db.session.scalars(
        select(IndexBuild).where(IndexBuild.state.in_(BUILDING)).execution_options(populate_existing=True)
    ).first()


def forget_all(reason: str) -> None:
    """Void, in the caller's transaction, every index there is: none of them follows this database."""
    db.session.execute(
        update(IndexBuild)
        .where(IndexBuild.state.in_([*BUILDING, "live", "previous"]))
        .values(state="failed", error=reason, finished_at=now(), leased_by=None)
        .execution_options(synchronize_session=False)
    )
    db.session.execute(delete(Heartbeat))


def latest_builds(limit: int = 10) -> list[IndexBuild]:
    """Return the last builds, newest first."""
    return list(
        db.session.scalars(
            select(IndexBuild).order_by(IndexBuild.id.desc()).limit(limit).execution_options(populate_existing=True)
        )
    )


def request_check(*, is_repair: bool, by: Viewer | None = None) -> IndexCheck:
    """Ask for a comparison of the index with SQL, and commit.  One that still waits is used instead of a second."""
    waiting = db.session.scalars(
        select(IndexCheck).where(IndexCheck.state.in_(["requested", "running"]), IndexCheck.is_repair.is_(is_repair))
    ).first()
    if waiting is not None:
        return waiting
    check = IndexCheck(is_repair=is_repair, requested_by_id=by.user_id if by else None)
    db.session.add(check)
    if by is not None:
        db.session.flush()
        audit.append("index.repair" if is_repair else "index.verify", by=by)
    db.session.commit()
    return check


def latest_checks(limit: int = 5) -> list[IndexCheck]:
    """Return the last comparisons, newest first."""
    return list(
        db.session.scalars(
            select(IndexCheck).order_by(IndexCheck.id.desc()).limit(limit).execution_options(populate_existing=True)
        )
    )


def request_drop(build_id: int, *, by: Viewer | None = None) -> bool:
    """Ask for the removal of an index that is kept from an earlier build, and commit; False where it is not one."""
    build = db.session.get(IndexBuild, build_id)
    if build is None or build.state != "previous":
        return False
    build.state = "dropping"
    if by is not None:
        db.session.flush()
        audit.append("index.drop", by=by, details={"index": build.name})
    db.session.commit()
    return True


def retry_set_aside(*, by: Viewer | None = None) -> int:
    """Let everything that was set aside be tried again at once, and commit; return how many documents that is."""
    count = outbox.retry_set_aside()
    if by is not None:
        audit.append("index.retry", by=by, details={"documents": count})
    db.session.commit()
    return count


def workers() -> list[Heartbeat]:
    """Return the workers that are running.  A sign of life from the future tells nothing: its clock was wrong."""
    at = now()
    return list(
        db.session.scalars(
            select(Heartbeat)
            .where(Heartbeat.at.between(at - SIGN_OF_LIFE, at + SIGN_OF_LIFE))
            .order_by(Heartbeat.started_at)
            .execution_options(populate_existing=True)
        )
    )
