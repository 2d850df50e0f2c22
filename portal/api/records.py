"""`/api/v1/records` and their entries."""

from typing import Any

from flask import request, url_for
from flask.views import MethodView
from flask_babel import gettext
from flask_smorest import Blueprint
from sqlalchemy.orm import selectinload

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.api.idempotency import HEADER, idempotent
from portal.api.resources import category_id, load_list, product_ids, staff_id, text_of
from portal.api.schemas import EntryIn, EntryOut, RecordArgs, RecordIn, RecordOut, RecordPatch, page_of
from portal.errors import Invalid
from portal.service import entries, reading, records
from portal.service.findable import select_readable
from portal.service.models import Entry, Record

blueprint = Blueprint("records_api", __name__, url_prefix="/api/v1/records", description="Service records")
RecordPage = page_of(RecordOut)


def shape(record: Record) -> dict[str, Any]:
    """Shape a record for JSON; who works on it is told to staff alone."""
    shaped = {
        "id": record.id,
        "version": record.version,
        "number": record.number,
        "path": f"/records/{record.number}",
        "kind": record.kind,
        "state": record.state,
        "subject": record.subject,
        "description": record.description,
        "language": record.language,
        "customer_id": record.customer_id,
        "product": record.product.slug if record.product else None,
        "serial_number": record.serial_number,
        "category": record.category.slug if record.category else None,
        "priority": record.priority,
        "resolution": record.resolution,
        "tags": [tag.name for tag in record.tags],
        "external_id": record.external_id,
        "source": record.source,
        "created_at": text_of(record.created_at),
        "updated_at": text_of(record.updated_at),
        "resolved_at": text_of(record.resolved_at),
    }
    if current_viewer().is_staff:
        shaped["assignee"] = record.assignee.email if record.assignee else None
    return shaped


def shape_entry(entry: Entry) -> dict[str, Any]:
    """Shape one step of a timeline for JSON."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "body": entry.body,
        "old_state": entry.old_state,
        "new_state": entry.new_state,
        "by": entry.by.name if entry.by else None,
        "at": text_of(entry.at),
    }


def _whole(record: Record) -> dict[str, Any]:
    return shape(record) | {"entries": [shape_entry(e) for e in reading.load_timeline(current_viewer(), record)]}


def _changes(given: dict[str, Any], viewer: Viewer) -> dict[str, Any]:
    changes = dict(given)
    if "category" in changes:
        changes["category_id"] = category_id(changes.pop("category"), viewer)
    if "product" in changes:
        slug = changes.pop("product")
        changes["product_id"] = None if slug is None else product_ids([slug], "product")[0]
    if "assignee" in changes:
        # Before anybody is looked up: whoever may not assign would learn which addresses have an account.
        if not viewer.is_staff:
            raise Invalid({"assignee": gettext("This field cannot be set here.")})
        changes["assignee_id"] = staff_id(changes.pop("assignee"))
    return changes


@blueprint.route("")
class Records(MethodView):
    """All records that the caller may read."""

    @blueprint.arguments(RecordArgs, location="query")
    @blueprint.response(200, RecordPage)
    @needs(Permission.ASK)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List records, newest first."""
        wanted = select_readable(current_viewer()).options(
            selectinload(Record.product),
            selectinload(Record.category),
            selectinload(Record.tags),
            selectinload(Record.assignee),
        )
        return load_list(wanted, Record, args, shape)

    @blueprint.arguments(RecordIn)
    @blueprint.response(201, RecordOut)
    @needs(Permission.ASK)
    @idempotent
    def post(self, given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Open a record; a customer's belongs to their own company."""
        viewer = current_viewer()
        record = records.create(by=viewer, submission=request.headers.get(HEADER), **_changes(given, viewer))
        return _whole(record), 201, {"Location": url_for("records_api.OneRecord", record_id=record.id)}


@blueprint.route("/<int:record_id>", endpoint="OneRecord")
class OneRecord(MethodView):
    """One record."""

    @blueprint.response(200, RecordOut)
    @needs(Permission.ASK)
    def get(self, record_id: int) -> dict[str, Any]:
        """Read a record with what the caller may see of its timeline."""
        return _whole(reading.get_readable(current_viewer(), record_id))

    @blueprint.arguments(RecordPatch)
    @blueprint.response(200, RecordOut)
    @needs(Permission.WORK_RECORDS)
    @idempotent
    def patch(self, given: dict[str, Any], record_id: int) -> tuple[dict[str, Any], int]:
        """Change the given fields of a record, its state, or write down what resolved it."""
        viewer = current_viewer()
        record = reading.get_readable(viewer, record_id)
        version = given.pop("version", record.version)
        state, resolution = given.pop("state", None), given.pop("resolution", None)
        changes = _changes(given, viewer)
        record = records.save(record, by=viewer, version=version, state=state, resolution=resolution, **changes)
        return _whole(record), 200

    @blueprint.response(204)
    @needs(Permission.EXPORT)
    @idempotent
    def delete(self, record_id: int) -> tuple[None, int]:
        """Remove a record with its timeline for good."""
        viewer = current_viewer()
        records.delete(reading.get_readable(viewer, record_id), by=viewer)
        return None, 204


@blueprint.route("/<int:record_id>/entries")
class Entries(MethodView):
    """A record's timeline."""

    @blueprint.arguments(EntryIn)
    @blueprint.response(201, EntryOut)
    @needs(Permission.ASK)
    @idempotent
    def post(self, given: dict[str, Any], record_id: int) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Add a public reply, or for staff an internal note."""
        viewer = current_viewer()
        record = reading.get_readable(viewer, record_id)
        add = entries.reply if given["kind"] == "reply" else entries.note
        entry = add(record, by=viewer, body=given["body"], submission=request.headers.get(HEADER))
        return shape_entry(entry), 201, {"Location": url_for("records_api.OneRecord", record_id=record_id)}
