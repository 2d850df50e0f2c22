"""The page that says which backups were made, and whether the last one is recent enough."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Flask, current_app, render_template
from sqlalchemy import select

from portal.access import Permission
from portal.accounts.guard import needs
from portal.audit import AuditEntry
from portal.backups.backups import MADE, RESTORED
from portal.extensions import db
from portal.health.state import OLDEST_BACKUP, backup_age_s

MOST_SHOWN = 50

blueprint = Blueprint("backups", __name__, url_prefix="/admin/backups")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A backup that was made, or put back, as the audit log tells it."""

    at: datetime
    rows: int
    files: int
    size: int
    missing: int
    folder: str
    restored_from: datetime | None
    """When the backup that was put back had been made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupsPage:
    """All that the page shows."""

    noted: list[Noted]
    age_s: float

    @property
    def is_late(self) -> bool:
        """Somebody must look why."""
        return self.age_s > OLDEST_BACKUP.total_seconds()


@blueprint.get("")
@needs(Permission.READ_AUDIT)
def show() -> str:
    """Show the last backups, and what was restored."""
    entries = db.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.action.in_([MADE, RESTORED]))
        .order_by(AuditEntry.id.desc())
        .limit(MOST_SHOWN)
    ).all()
    page = BackupsPage(
        noted=[_noted(entry) for entry in entries], age_s=backup_age_s(current_app.extensions["casebook.settings"])
    )
    return render_template("admin/backups.html", page=page)


def _noted(entry: AuditEntry) -> Noted:
    told = entry.details
    return Noted(
        at=entry.at,
        rows=told["rows"],
        files=told["files"],
        size=told.get("bytes", 0),
        missing=told.get("missing", 0),
        folder=told.get("folder", ""),
        restored_from=datetime.fromisoformat(told["made_at"]) if entry.action == RESTORED else None,
    )


def init_app(app: Flask) -> None:
    """Register the page."""
    app.register_blueprint(blueprint)
