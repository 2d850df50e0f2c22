"""Signing in and out, choosing a password by a link, and the headers of private pages."""

import time

from flask import Blueprint, Flask, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from portal.access import Permission
from portal.accounts import guard, limits, me_views, sessions, sign_in, tokens, users
from portal.accounts.answers import COOKIE_USER, caller, leave, too_many
from portal.accounts.forms import CodeForm, NewPasswordForm, ResetForm, SignInForm, take_errors
from portal.accounts.guard import needs
from portal.accounts.limits import TooManyAttempts
from portal.accounts.sign_in import Outcome
from portal.errors import Invalid, Missing
from portal.extensions import login

RESET_TAKES_S = 0.5
"""Asking for a reset takes this long, whether there is such an account or not."""

blueprint = Blueprint("accounts", __name__)


@blueprint.get("/sign-in", endpoint="sign_in")
@needs(Permission.READ)
def show_sign_in() -> ResponseReturnValue:
    """Ask for address and password."""
    if guard.current_viewer().is_signed_in:
        return redirect(safe_target(request.args.get("next")), 303)
    return _page("sign_in", SignInForm(formdata=None, next=request.args.get("next", "")))


@blueprint.post("/sign-in")
@needs(Permission.READ)
def give_password() -> ResponseReturnValue:
    """Judge an address and a password."""
    form = SignInForm()
    if not form.validate_on_submit():
        return _page("sign_in", form), 422
    try:
        outcome = sign_in.with_password(
            email=form.email.data,
            password=form.password.data,
            caller=caller(),
            is_remembered=form.is_remembered.data,
        )
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _page("sign_in", form, locked=sentence))
    if outcome is None:
        form.password.errors = [gettext("The e-mail address and the password do not belong together.")]
        return _page("sign_in", form), 422
    if outcome.code_token:
        remembered = "1" if form.is_remembered.data else ""
        code_form = CodeForm(
            formdata=None, code_token=outcome.code_token, is_remembered=remembered, next=form.next.data
        )
        return _page("code", code_form)
    return _enter(outcome, remembered=form.is_remembered.data, target=form.next.data)


@blueprint.post("/sign-in/code")
@needs(Permission.READ)
def give_code() -> ResponseReturnValue:
    """Judge the code that follows a right password."""
    form = CodeForm()
    if not form.validate_on_submit():
        return _page("code", form), 422
    remembered = form.is_remembered.data == "1"
    try:
        outcome = sign_in.with_code(
            code_token=form.code_token.data, code=form.code.data, caller=caller(), is_remembered=remembered
        )
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _page("code", form, locked=sentence))
    except LookupError:
        flash(gettext("That took too long. Sign in again."), "warning")
        return redirect(url_for("accounts.sign_in", next=form.next.data or None), 303)
    if outcome is None:
        form.code.errors = [gettext("This code is wrong or was used before. Wait for the next one and type that.")]
        return _page("code", form), 422
    return _enter(outcome, remembered=remembered, target=form.next.data)


@blueprint.post("/sign-out")
@needs(Permission.READ)
def sign_out() -> ResponseReturnValue:
    """End this session, on the server and in the browser."""
    sessions.end(session.get(COOKIE_USER, ""))
    session.clear()
    response = redirect("/", 303)
    # Drafts stay in the browser's storage, each under its account's name, and are there at the next sign-in.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@blueprint.get("/reset")
@needs(Permission.READ)
def show_reset() -> str:
    """Ask for the address to send a link to."""
    return _page("reset", ResetForm(formdata=None))


@blueprint.post("/reset")
@needs(Permission.READ)
def ask_reset() -> ResponseReturnValue:
    """Send a link if there is such an account, and answer alike, after the same time, if there is none."""
    began = time.monotonic()
    form = ResetForm()
    if not form.validate_on_submit():
        return _page("reset", form), 422
    try:
        limits.count("reset", account=sign_in.normal_email(form.email.data), address=request.remote_addr or "")
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _page("reset", form, locked=sentence))
    users.ask_reset(form.email.data)
    page = _page("reset", form, asked=True)
    time.sleep(max(0.0, RESET_TAKES_S - (time.monotonic() - began)))
    return page


@blueprint.get("/invitation/<token>", defaults={"purpose": "invitation"})
@blueprint.get("/reset/<token>", defaults={"purpose": "reset"})
@needs(Permission.READ)
def show_new_password(token: str, purpose: str) -> ResponseReturnValue:
    """Ask somebody who came by a link for a password.  Looking does not use the link up: mail programs look, too."""
    owner = tokens.owner_of(token, purpose)
    if owner is None:
        return render_template("accounts/dead_link.html"), 404
    return _page("new_password", NewPasswordForm(formdata=None), owner=owner)


@blueprint.post("/invitation/<token>", defaults={"purpose": "invitation"})
@blueprint.post("/reset/<token>", defaults={"purpose": "reset"})
@needs(Permission.READ)
def give_new_password(token: str, purpose: str) -> ResponseReturnValue:
    """Set the password and use the link up."""
    form = NewPasswordForm()
    try:
        if form.validate_on_submit():
            users.choose_password(token, purpose, form.password.data)
            return leave(gettext("Your password is set. Sign in with it."))
    except Invalid as error:
        take_errors(form, error)
    except Missing:
        return render_template("accounts/dead_link.html"), 404
    owner = tokens.owner_of(token, purpose)
    if owner is None:
        return render_template("accounts/dead_link.html"), 404
    return _page("new_password", form, owner=owner), 422


def safe_target(target: str | None) -> str:
    """Return the address to go on to if it is a plain path of this portal, else the start page.

    Browsers drop tabs and line breaks, and read a backslash as a slash: any of them could lead elsewhere.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return "/"
    if "\\" in target or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in target):
        return "/"
    return target


def _page(name: str, form: FlaskForm, **context: object) -> str:
    return render_template(f"accounts/{name}.html", form=form, **context)


def _enter(outcome: Outcome, *, remembered: bool, target: str | None) -> Response:
    """Put the new session into a cookie that holds nothing of the old one, and go on."""
    sessions.end(session.get(COOKIE_USER, ""))
    session.clear()
    session[COOKIE_USER] = outcome.session_token
    session.permanent = remembered
    return redirect(safe_target(target), 303)


def _keep_private(response: Response) -> Response:
    """What a signed-in reader sees is kept by no cache, and not by the browser after signing out."""
    if guard.current_viewer().is_signed_in:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _names() -> dict[str, str]:
    account = g.get("account")
    return {"viewer_name": account.name if account else ""}


def init_app(app: Flask) -> None:
    """Register the pages, the guard of all routes, and what signing in needs."""
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app.config["PERMANENT_SESSION_LIFETIME"] = sessions.LONG.whole
    login.init_app(app)
    login.session_protection = None
    login.user_loader(guard.load_account)
    app.before_request(guard.check_request)
    app.after_request(guard.note_sent)
    app.after_request(_keep_private)
    app.context_processor(_names)
    app.register_blueprint(blueprint)
    app.register_blueprint(me_views.blueprint)
