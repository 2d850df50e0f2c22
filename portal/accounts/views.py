"""Sign-in, sign-out and what belongs to an account."""

from flask import Blueprint, Flask, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from werkzeug.exceptions import Forbidden as ForbiddenAnswer
from werkzeug.wrappers import Response

from portal.access import Forbidden, Permission
from portal.accounts import guard, sessions, sign_in
from portal.accounts.forms import CodeForm, SignInForm
from portal.accounts.guard import needs
from portal.accounts.limits import TooManyAttempts
from portal.accounts.sign_in import Caller, Outcome
from portal.extensions import login

COOKIE_USER = "_user_id"
"""Where Flask-Login looks for whom the cookie belongs to."""

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/sign-in", methods=["GET", "POST"], endpoint="sign_in")
@needs(Permission.READ)
def show_sign_in() -> ResponseReturnValue:
    """Ask for address and password, and judge them."""
    form = SignInForm()
    if request.method == "GET":
        form.next.data = request.args.get("next", "")
    if not form.validate_on_submit():
        return render_template("accounts/sign_in.html", form=form), 200 if request.method == "GET" else 422
    try:
        outcome = sign_in.with_password(
            email=form.email.data,
            password=form.password.data,
            caller=_caller(),
            is_remembered=form.is_remembered.data,
        )
    except TooManyAttempts as error:
        return _locked(error, "accounts/sign_in.html", form)
    if outcome is None:
        form.password.errors = [gettext("The e-mail address and the password do not belong together.")]
        return render_template("accounts/sign_in.html", form=form), 422
    if outcome.code_token:
        remembered = "1" if form.is_remembered.data else ""
        code_form = CodeForm(
            formdata=None, code_token=outcome.code_token, is_remembered=remembered, next=form.next.data
        )
        return render_template("accounts/code.html", form=code_form)
    return _enter(outcome, remembered=form.is_remembered.data, target=form.next.data)


@blueprint.post("/sign-in/code")
@needs(Permission.READ)
def give_code() -> ResponseReturnValue:
    """Judge the code that follows a right password."""
    form = CodeForm()
    if not form.validate_on_submit():
        return render_template("accounts/code.html", form=form), 422
    remembered = form.is_remembered.data == "1"
    try:
        outcome = sign_in.with_code(
            code_token=form.code_token.data, code=form.code.data, caller=_caller(), is_remembered=remembered
        )
    except TooManyAttempts as error:
        return _locked(error, "accounts/code.html", form)
    except LookupError:
        flash(gettext("That took too long. Sign in again."), "warning")
        return redirect(url_for("accounts.sign_in", next=form.next.data or None), 303)
    if outcome is None:
        form.code.errors = [gettext("This code is wrong or was used before. Wait for the next one and type that.")]
        return render_template("accounts/code.html", form=form), 422
    return _enter(outcome, remembered=remembered, target=form.next.data)


@blueprint.post("/sign-out")
@needs(Permission.READ)
def sign_out() -> ResponseReturnValue:
    """End this session, on the server and in the browser."""
    sessions.end(session.get(COOKIE_USER, ""))
    session.clear()
    response = redirect("/", 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@blueprint.get("/me")
@needs(Permission.KEEP_ACCOUNT)
def me() -> str:
    """Show what belongs to the account."""
    return render_template("accounts/me.html", account=guard.current_account())


def safe_target(target: str | None) -> str:
    """Return the address to go on to if it is a plain path of this portal, else the start page.

    Browsers drop tabs and line breaks, and read a backslash as a slash: any of them could lead elsewhere.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return "/"
    if "\\" in target or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in target):
        return "/"
    return target


def _caller() -> Caller:
    return Caller(address=request.remote_addr or "", agent=request.user_agent.string)


def _enter(outcome: Outcome, *, remembered: bool, target: str | None) -> Response:
    """Put the new session into a cookie that holds nothing of the old one, and go on."""
    sessions.end(session.get(COOKIE_USER, ""))
    session.clear()
    session[COOKIE_USER] = outcome.session_token
    session.permanent = remembered
    return redirect(safe_target(target), 303)


def _locked(error: TooManyAttempts, template: str, form: SignInForm | CodeForm) -> ResponseReturnValue:
    minutes = -(-error.retry_after_s // 60)
    sentence = ngettext(
        "There were too many attempts. Try again in a minute.",
        "There were too many attempts. Try again in %(num)d minutes.",
        minutes,
    )
    page = render_template(template, form=form, locked=sentence)
    return page, 429, {"Retry-After": str(error.retry_after_s)}


def _keep_private(response: Response) -> Response:
    """What a signed-in reader sees is kept by no cache, and not by the browser after signing out."""
    if guard.current_viewer().is_signed_in:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _refuse(error: Forbidden) -> ResponseReturnValue:
    return current_app.handle_http_exception(ForbiddenAnswer(str(error)))


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
    app.after_request(_keep_private)
    app.register_error_handler(Forbidden, _refuse)
    app.context_processor(_names)
    app.register_blueprint(blueprint)
