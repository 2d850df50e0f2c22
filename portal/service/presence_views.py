"""What an open record's page tells every few seconds, and the sentences about colleagues that it gets back."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from portal.access import Permission
from portal.accounts.guard import current_viewer, needs
from portal.service import presence, reading

blueprint = Blueprint("presence", __name__)


@blueprint.post("/records/<string:number>/presence")
@needs(Permission.WORK_RECORDS)
def note(number: str) -> ResponseReturnValue:
    """Note that the record is open here, being answered, or left; answer who else has it open."""
    viewer = current_viewer()
    record = reading.get_readable(viewer, number)
    if "left" in request.form:
        presence.leave(record, by=viewer)
        return "", 204
    presence.note(record, by=viewer, is_answering="answering" in request.form)
    return render_template("service/_presence.html", colleagues=presence.load_colleagues(viewer, record))
