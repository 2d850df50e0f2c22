"""Answering with a stored file so that it can do no harm: never as a page, never as script, never by its own word."""

from flask import Response, abort, send_file

from portal.attachments.attachments import is_picture, path_of
from portal.attachments.models import Attachment

SANDBOX = "default-src 'none'; sandbox"


def send(attachment: Attachment, *, in_place: bool = False) -> Response:
    """Return the file as a download; a picture may be shown in place.  The caller has checked who may read it."""
    path = path_of(attachment)
    if not path.is_file():
        abort(404)
    response = send_file(
        path,
        mimetype=attachment.media_type,
        as_attachment=not (in_place and is_picture(attachment)),
        download_name=attachment.file_name,
        etag=attachment.sha256,
        max_age=0,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
