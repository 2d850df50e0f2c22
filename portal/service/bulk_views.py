"""Changing several records from the desk's list, and taking that back."""

import json
from typing import Any

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.errors import Invalid
from portal.service import bulk
from portal.service.forms import BulkForm, show_errors

blueprint = Blueprint("bulk", __name__)


@blueprint.post("/desk/changes")
@needs(Permission.WORK_RECORDS)
def change() -> ResponseReturnValue:
    """Change the selected records, and say what became of each."""
    form = BulkForm.build()
    chosen = [_chosen(typed) for typed in request.form.getlist("record")]
    try:
        report = bulk.change(chosen, by=current_viewer(), changes=form.changes())
    except Invalid as invalid:
        show_errors(form, invalid)
        return render_template("service/bulk.html", form=form, chosen=chosen, back=_back()), 422
    undo = json.dumps([[one.number, one.version, dict(one.before)] for one in report.undoable])
    return render_template("service/changed.html", report=report, undo=undo, back=_back())


@blueprint.post("/desk/changes/undo")
@needs(Permission.WORK_RECORDS)
def undo() -> ResponseReturnValue:
    """Put back what stood in the changed records before."""
    done = [(bulk.Chosen(number, version), before) for number, version, before in _done()]
    try:
        report = bulk.undo(done, by=current_viewer())
    except Invalid:
        abort(400)
    return render_template("service/changed.html", report=report, undo="", back=_back())


def _chosen(typed: str) -> bulk.Chosen:
    """Read what a checkbox of the list stands for: `R-000123.7`, the number and the version that was seen."""
    number, _dot, version = typed.rpartition(".")
    if not (number and len(typed) < 40 and version.isascii() and version.isdigit()):
        abort(400)
    return bulk.Chosen(number, int(version))


def _done() -> list[tuple[str, int, dict[str, Any]]]:
    """Read what the button of a report sends back; operations judge the values as they judge any form's."""
    try:
        sent = json.loads(request.form.get("undo", ""))
    except ValueError:
        abort(400)
    if not isinstance(sent, list) or not all(_is_done(one) for one in sent):
        abort(400)
    return [(number, version, before) for number, version, before in sent]


def _is_done(one: object) -> bool:
    if not (isinstance(one, list) and len(one) == 3):
        return False
    number, version, before = one
    if not (isinstance(number, str) and isinstance(version, int) and isinstance(before, dict)):
        return False
    # What a choice's name is looked up in takes text alone.
    return all(value is None or isinstance(value, str | int | list) for value in before.values())


def _back() -> str:
    """Return the part of the list's address behind the question mark: the place that one comes from."""
    return request.form.get("back", "")[:500]
