"""What several pages about accounts answer alike."""

from collections.abc import Callable

from flask import flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import ngettext
from werkzeug.wrappers import Response

from portal.accounts.limits import TooManyAttempts
from portal.accounts.sign_in import Caller

COOKIE_USER = "_user_id"
"""Where Flask-Login looks for whom the cookie belongs to."""


def caller() -> Caller:
    """Return what the line tells of who asks."""
    return Caller(address=request.remote_addr or "", agent=request.user_agent.string)


def too_many(error: TooManyAttempts, render: Callable[[str], str]) -> ResponseReturnValue:
    """Answer a guess that was not judged: the page again, with a sentence that says when to try next."""
    minutes = -(-error.retry_after_s // 60)
    sentence = ngettext(
        "There were too many attempts. Try again in a minute.",
        "There were too many attempts. Try again in %(num)d minutes.",
        minutes,
    )
    return render(sentence), 429, {"Retry-After": str(error.retry_after_s)}


def leave(sentence: str) -> Response:
    """Send somebody whose sessions have all ended to the sign-in page, and say why."""
    session.clear()
    flash(sentence, "success")
    return redirect(url_for("accounts.sign_in"), 303)
