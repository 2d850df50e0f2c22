"""Every route declares the permission it needs; a request without it goes no further.

A route that declares nothing stops the start, so a forgotten guard cannot be deployed.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, abort, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response

from portal.access import ANONYMOUS, Permission, Viewer

View = TypeVar("View", bound=Callable[..., Any])
UNDECLARED = frozenset({"static"})
"""Endpoints of the framework itself that show nothing of ours."""


def needs(permission: Permission) -> Callable[[View], View]:
    """Declare what a view, or one method of a view class, needs."""

    def declare(view: View) -> View:
        cast("Any", view).permission = permission
        return view

    return declare


def current_viewer() -> Viewer:
    """Return who is reading: the owner of the session or API token, or an anonymous reader."""
    return cast("Viewer", g.get("viewer", ANONYMOUS))


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
    if request.path.startswith("/api/"):
        abort(401)
    return redirect(url_for("accounts.sign_in", next=request.full_path if request.method == "GET" else None))
