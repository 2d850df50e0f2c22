"""One answer for everything that goes wrong: JSON under `/api/`, a page elsewhere."""

import errno
import sqlite3
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Flask, current_app, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import AnonymousUserMixin
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError, default_exceptions

from portal.access import ANONYMOUS, Forbidden
from portal.errors import Conflict, Invalid, OperationError
from portal.extensions import db, let_go_of_session
from portal.pages import render_error
from portal.search.request import RequestError

log = structlog.get_logger(__name__)

RETRY_AFTER_S = "5"
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


NO_ROOM = ("disk is full", "No space left")
"""How SQLite and PostgreSQL say it."""


def init_app(app: Flask) -> None:
    """Answer every error in the one shape."""
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(RequestError, _answer_request_error)
    app.register_error_handler(OperationError, _answer_operation_error)
    app.register_error_handler(Forbidden, _answer_forbidden)
    app.register_error_handler(OperationalError, _answer_without_database)
    app.register_error_handler(InterfaceError, _answer_without_database)
    app.register_error_handler(OSError, _answer_system_error)
    app.register_error_handler(Exception, _answer_fault)


def is_api() -> bool:
    """Say whether the caller is a program."""
    return request.path.startswith("/api/")


def problem(
    status: int, message: str, fields: Mapping[str, Any] | None = None, *, code: str = "", **more: object
) -> ResponseReturnValue:
    """Build the JSON of an error.  The code is that of the status unless a more telling one is given."""
    error = {"code": code or CODES.get(status, "error"), "message": message, "fields": dict(fields or {}), **more}
    return jsonify({"error": error}), status


def answer_http_error(error: HTTPException) -> ResponseReturnValue:
    """Answer what the framework, or a view's `abort`, refuses."""
    if error.response is not None:
        return error.get_response()
    headers = [
        (name, value)
        for name, value in error.get_headers(request.environ)
        if name.lower() not in ("content-type", "content-length")
    ]
    if not is_api():
        return (*render_error(error), headers)
    status = error.code or 500
    fields = _field_messages(getattr(error, "data", None))
    message = " ".join(fields.values()) or _sentence(error)
    answer: tuple[Any, int] = problem(status, message, fields)  # type: ignore[assignment]
    for name, value in headers:
        answer[0].headers[name] = value
    return answer


def _answer_request_error(error: RequestError) -> ResponseReturnValue:
    if is_api():
        return problem(400, error.sentence, {error.parameter: error.sentence})
    return _page(400, error.sentence)


def _answer_operation_error(error: OperationError) -> ResponseReturnValue:
    try:
        db.session.rollback()
    except OperationalError as away:
        return _answer_without_database(away)
    if not is_api():
        return _page(error.status, str(error))
    if isinstance(error, Conflict):
        return problem(error.status, str(error), code=error.code, current=error.current, given=error.given)
    return problem(error.status, str(error), error.fields if isinstance(error, Invalid) else None, code=error.code)


def _answer_forbidden(_error: Forbidden) -> ResponseReturnValue:
    sentence = gettext("Your role does not allow this. Ask an administrator if you need it.")
    return problem(403, sentence) if is_api() else _page(403, sentence)


def _answer_without_database(error: DBAPIError) -> ResponseReturnValue:
    """Say that the database is away.  Whether it took a commit just before is unknown; a repetition by key is safe."""
    if any(words in str(error.orig) for words in NO_ROOM):
        return _answer_without_room()
    if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return _answer_busy()
    # The text of the error quotes what was about to be written; its first line only says what the database said.
    log.warning("the database cannot be used", reason=str(error.orig).partition("\n")[0][:200])
    # Who is asking cannot be looked up now, neither here nor by the page.
    g.viewer, g.account, g._login_user = ANONYMOUS, None, AnonymousUserMixin()
    let_go_of_session()
    sentence = gettext(
        "The database cannot be reached at the moment. "
        "Try again in a minute; what you were saving may not have been saved."
    )
    return _unavailable(sentence)


def _answer_system_error(error: OSError) -> ResponseReturnValue:
    return _answer_without_room() if error.errno in (errno.ENOSPC, errno.EDQUOT) else _answer_fault(error)


def _answer_without_room() -> ResponseReturnValue:
    """Say that the disk is full: whatever was begun is taken back, and reading goes on."""
    log.error("the disk is full", method=request.method, endpoint=request.endpoint)
    db.session.rollback()
    return _unavailable(
        gettext("There is no room left on the server, so nothing was saved. Keep your text and try again later.")
    )


def _answer_busy() -> ResponseReturnValue:
    """Say that somebody else held SQLite's write lock for too long.  It is taken at the first write: none was made."""
    log.warning("the database was busy for too long", method=request.method, endpoint=request.endpoint)
    db.session.rollback()
    return _unavailable(
        gettext("The database was busy for too long, so nothing was saved. Keep your text and try again in a minute.")
    )


def _unavailable(sentence: str) -> ResponseReturnValue:
    answer = make_response(problem(503, sentence) if is_api() else _page(503, sentence))
    answer.headers["Retry-After"] = RETRY_AFTER_S
    return answer


def _answer_fault(error: Exception) -> ResponseReturnValue:
    if current_app.testing:
        raise error
    db.session.rollback()
    log.error("a request failed", method=request.method, endpoint=request.endpoint, exc_info=error)
    sentence = gettext("Something went wrong here. It was noted; please try again.")
    return problem(500, sentence) if is_api() else _page(500, sentence)


def _page(status: int, sentence: str) -> ResponseReturnValue:
    return render_error(default_exceptions.get(status, InternalServerError)(sentence))


def _field_messages(data: Mapping[str, Any] | None) -> dict[str, str]:
    """Flatten what schemas refuse: `{"json": {"title": ["Too long."]}}` becomes `{"title": "title: Too long."}`."""
    flat: dict[str, str] = {}

    def walk(path: tuple[str, ...], messages: object) -> None:
        if isinstance(messages, Mapping):
            for name, inner in messages.items():
                walk((*path, str(name)), inner)
        else:
            texts = messages if isinstance(messages, list | tuple) else [messages]
            name = ".".join(path[1:]) or ".".join(path)
            flat[name] = f"{name}: " + " ".join(str(text) for text in texts)

    walk((), (data or {}).get("messages") or {})
    return flat


def _sentence(error: HTTPException) -> str:
    sentences = {
        401: gettext("Sign in, or send a valid API token."),
        403: gettext("Your role does not allow this. Ask an administrator if you need it."),
        404: gettext("There is nothing at this address."),
        405: gettext("This address does not take that method."),
        413: gettext("The request is too large."),
        429: gettext("Too many requests. Wait a moment and try again."),
    }
    return sentences.get(error.code or 500) or error.description or error.name
