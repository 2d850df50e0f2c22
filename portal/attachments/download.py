"""Answering with a stored file so that it can do no harm: never as a page, never as script, never by its own word."""

from flask import Response, abort, send_file
from werkzeug.http import dump_options_header

from portal.attachments.attachments import is_picture, path_of
from portal.attachments.models import Attachment

SANDBOX = "default-src 'none'; sandbox"


def send(attachment: Attachment, *, in_place: bool = False) -> Response:
    """Return the file as a download; a picture may be shown in place.  The caller has checked who may read it."""
    path = path_of(attachment)
    if not path.is_file():
        abort(404)
    response = send_file(
        path, mimetype=attachment.media_type, conditional=True, etag=attachment.sha256, max_age=0, download_name=None
    )
    disposition = "inline" if in_place and is_picture(attachment) else "attachment"
    response.headers["Content-Disposition"] = _named(disposition, attachment.file_name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _named(disposition: str, name: str) -> str:
    """Return the header with the name in ASCII for old readers and in UTF-8 for the others (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return dump_options_header(
        disposition, {"filename": plain, "filename*": name} if plain != name else {"filename": name}
    )
