"""Every route declares the permission it needs; a request without it goes no further.

A route that declares nothing stops the start, so a forgotten guard cannot be deployed.  Who is asking is decided here,
too, once for each request: the owner of the session, the owner of the API token, or an anonymous reader.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound, Unauthorized
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from portal.access import ANONYMOUS, Permission, Viewer
from portal.accounts import sessions, tokens
from portal.accounts.models import User
from portal.extensions import csrf
from portal.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])
UNDECLARED = frozenset({"static"})
"""Endpoints of the framework itself that show nothing of ours."""
FOR_PROGRAMS = ("/api/", "/metrics")
"""Where an API token is accepted; pages are for people, who sign in."""
SENT = "sent"
"""Where the session keeps what the browser calls the forms that were taken last."""
SENT_ID = re.compile(r"[0-9a-f]{16}")
MOST_SENT = 5
MOST_ABOVE = 4
"""So many steps a form's page lies at most above the address that it is sent to; anybody may claim a longer one."""
BEFORE_SECOND_FACTOR = frozenset(
    {
        "me.show_second_factor",
        "me.begin_second_factor",
        "me.second_factor_picture",
        "me.confirm_second_factor",
        "accounts.sign_out",
    }
)
"""All that staff without the second factor that production asks for can reach."""


class OldPage(BadRequest):
    """A form came from a page of another session than the present one."""


def needs(permission: Permission) -> Callable[[View], View]:
    """Declare what a view, or one method of a view class, needs."""

    def declare(view: View) -> View:
        cast("Any", view).permission = permission
        return view

    return declare


def current_viewer() -> Viewer:
    """Return who is reading: the owner of the session or API token, or an anonymous reader."""
    return cast("Viewer", g.get("viewer", ANONYMOUS))


def current_account() -> User:
    """Return the account that is signed in; only for routes that need `Permission.KEEP_ACCOUNT`."""
    account: User | None = g.get("account")
    if account is None:
        abort(401)
    return account


def declared_permission(app: Flask, endpoint: str, method: str) -> Permission | None:
    """Return what the route declares for a method, or None where it declares nothing."""
    view = app.view_functions[endpoint]
    by_class = getattr(view, "view_class", None)
    target = getattr(by_class, "get" if method == "HEAD" else method.lower(), None) if by_class else view
    return cast("Permission | None", getattr(target, "permission", None) or getattr(view, "permission", None))


def undeclared_routes(app: Flask) -> list[str]:
    """Return the routes that declare no permission, as `METHOD /path`."""
    return sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in UNDECLARED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if declared_permission(app, rule.endpoint, method) is None
    )


def refuse_undeclared(app: Flask) -> None:
    """Stop the start when a route declares nothing; the last step of making a portal.

    Raises:
        RuntimeError: names the routes.
    """
    routes = undeclared_routes(app)
    if routes:
        raise RuntimeError(f"These routes declare no permission; put @needs(…) on each: {', '.join(routes)}")


def check_request() -> ResponseReturnValue | None:
    """Decide who asks, whether a form is ours, and whether the route is theirs to ask for."""
    refused = _refuse()
    g.is_let_in = refused is None
    return refused


def note_sent(response: Response) -> Response:
    """Remember which form was taken: the pages that follow say so, and the browser drops its draft of it.

    A form is taken when its view leads on; what a view refuses, it shows again.
    """
    if g.get("is_let_in") and response.status_code == HTTPStatus.SEE_OTHER:
        sent = request.form.get("draft", "")
        if SENT_ID.fullmatch(sent):
            session[SENT] = [*session.get(SENT, []), sent][-MOST_SENT:]
    return response


def _refuse() -> ResponseReturnValue | None:
    g.viewer, g.account = ANONYMOUS, None
    if request.endpoint in UNDECLARED:
        return None
    token = _bearer_token()
    if token is not None:
        _accept_token(token)
    else:
        if current_user.is_authenticated:
            account: User = current_user._get_current_object()
            if _lacks_second_factor(account) and request.endpoint not in BEFORE_SECOND_FACTOR:
                return _ask_for_second_factor()
            g.account, g.viewer = account, account.viewer
            sessions.saw(g.account_session)
        if current_app.config["WTF_CSRF_ENABLED"]:
            try:
                csrf.protect(apply_exemptions=True)
            except CSRFError:
                if not _is_sent_by_a_page():
                    raise
                return _answer_old_page()
    return check_permission()


def check_permission() -> Response | None:
    """Let the request pass, send a stranger to the sign-in page, or refuse."""
    if request.endpoint is None or request.endpoint in UNDECLARED or request.method == "OPTIONS":
        return None
    permission = declared_permission(current_app, request.endpoint, request.method)
    if permission is None:
        abort(500)
    viewer = current_viewer()
    if viewer.can(permission):
        return None
    if viewer.is_signed_in:
        abort(403)
    if request.path.startswith(FOR_PROGRAMS):
        raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))
    if request.method != "GET" and _is_sent_by_a_page():
        return _ask_to_sign_in_again()
    back = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("accounts.sign_in", next=back), 303)


def _answer_old_page() -> Response:
    """Refuse a form whose page was opened before somebody signed in or out in this browser: it is not theirs to send.

    Its token belongs to the session that the page was opened in, so that what Alice typed in one tab is never saved as
    Bob, who has signed in in another one since.
    """
    account: User | None = g.account
    if account is None:
        if request.endpoint == "accounts.sign_out":
            return redirect("/", 303)
        permission = declared_permission(current_app, request.endpoint or "", request.method)
        if permission is not None and not current_viewer().can(permission):
            return _ask_to_sign_in_again()
        raise OldPage(gettext("The page that this was sent from is too old. Open it again and send it from there."))
    raise OldPage(
        gettext(
            "The page that this was sent from was opened before you signed in as %(name)s. "
            "Open it again and send it from there.",
            name=account.name,
        )
    )


def _ask_to_sign_in_again() -> Response:
    """Lead whoever was signed out under a form to the sign-in page, and from there back to the form and its draft."""
    sentence = gettext("Nothing was saved, because you are signed out. Sign in, and you come back to the page.")
    flash(sentence, "warning")
    return redirect(url_for("accounts.sign_in", next=page_before()), 303)


def page_before() -> str | None:
    """Return the page of the portal that a form was sent from, if the browser says so.

    A refused form stands at the address that it was sent to; where that is no page, it is the page above it.
    """
    before = urlsplit(request.referrer or "")
    if before.netloc != request.host:
        return None
    # A path that began with two slashes would lead to another site.
    path = "/" + before.path.lstrip("/")
    if is_page(path):
        return path + (f"?{before.query}" if before.query else "")
    for _ in range(MOST_ABOVE):
        path = path.rpartition("/")[0]
        if path and is_page(path):
            return path
    return "/"


def is_page(path: str) -> bool:
    """Say whether a page of the portal answers at this path."""
    try:
        current_app.url_map.bind("").match(path, method="GET")
    except RequestRedirect:
        return True
    except (NotFound, MethodNotAllowed):
        return False
    return True


def _is_sent_by_a_page() -> bool:
    """Say whether the answer will be looked at as a page; scripts ask for parts and notice a refusal by its status."""
    is_whole = request.headers.get("Sec-Fetch-Dest", "document") == "document" and "HX-Request" not in request.headers
    return is_whole and not request.path.startswith(FOR_PROGRAMS)


def load_account(token: str) -> User | None:
    """Find the account for Flask-Login, by the random token that the cookie holds as its user id."""
    found = sessions.find(token)
    if found is None:
        return None
    g.account_session = found
    return found.user


def _bearer_token() -> str | None:
    if not request.path.startswith(FOR_PROGRAMS):
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _accept_token(token: str) -> None:
    found = tokens.find(token)
    if found is None:
        raise Unauthorized(
            "This API token is unknown, revoked or expired. Make another one with `casebook token create`.",
            www_authenticate=WWWAuthenticate("bearer", {"error": "invalid_token"}),
        )
    g.account, g.viewer = found.user, found.user.viewer
    tokens.used(found)


def _lacks_second_factor(account: User) -> bool:
    settings: Settings = current_app.extensions["casebook.settings"]
    return settings.is_production and account.viewer.is_staff and account.totp_secret is None


def _ask_for_second_factor() -> Response:
    if request.path.startswith(FOR_PROGRAMS):
        abort(403, "Set up the second factor of this account first; staff cannot work without it.")
    return redirect(url_for("me.show_second_factor"), 303)
