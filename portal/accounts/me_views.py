"""What somebody does with their own account: name, language, password, second factor, sessions, API tokens."""

from datetime import timedelta
from io import BytesIO

from flask import Blueprint, Response, flash, g, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from werkzeug.exceptions import NotFound

from portal.access import ANONYMOUS, Permission
from portal.accounts import second_factor, sessions, sign_in, tokens, users
from portal.accounts.answers import caller, leave, too_many
from portal.accounts.forms import ConfirmCodeForm, PasswordForm, ProfileForm, ProofForm, TokenForm, take_errors
from portal.accounts.guard import current_account, needs
from portal.accounts.limits import TooManyAttempts
from portal.errors import Invalid

BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "Mac",
    "Linux": "Linux",
}
"""What stands in a browser's own name, in the order that tells: later ones pose as earlier ones."""

blueprint = Blueprint("me", __name__, url_prefix="/me")


@blueprint.app_template_filter("device")
def device(agent: str) -> str:
    """Return what people call their browser: `Firefox, Windows`; an unknown one is shown as it names itself."""
    browser = next((name for mark, name in BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in agent), "")
    return ", ".join(filter(None, (browser, system))) if browser else agent[:60]


@blueprint.get("")
@needs(Permission.KEEP_ACCOUNT)
def show() -> str:
    """Show everything that belongs to the account."""
    return _page()


@blueprint.post("")
@needs(Permission.KEEP_ACCOUNT)
def save_profile() -> ResponseReturnValue:
    """Set name and language."""
    form = ProfileForm()
    try:
        if form.validate_on_submit():
            users.set_profile(current_account(), name=form.name.data, locale=form.locale.data)
            flash(gettext("Saved."), "success")
            return redirect(url_for("me.show"), 303)
    except Invalid as error:
        take_errors(form, error)
    return _page(profile=form), 422


@blueprint.post("/password")
@needs(Permission.KEEP_ACCOUNT)
def save_password() -> ResponseReturnValue:
    """Set a new password for somebody who knows the present one."""
    form = PasswordForm()
    account = current_account()
    try:
        if form.validate_on_submit() and _is_proven(form):
            users.set_password(account, form.password.data, by=account.viewer)
            return leave(
                gettext("Your password is changed and you are signed out everywhere. Sign in with the new one.")
            )
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _page(password=form, locked=sentence))
    except Invalid as error:
        take_errors(form, error)
    return _page(password=form), 422


@blueprint.post("/sessions/<int:session_id>/end")
@needs(Permission.KEEP_ACCOUNT)
def end_session(session_id: int) -> ResponseReturnValue:
    """End one of one's own sessions."""
    if not sessions.end_one(current_account(), session_id):
        raise NotFound
    flash(gettext("That session is ended."), "success")
    return redirect(url_for("me.show", _anchor="sessions"), 303)


@blueprint.post("/sessions/end")
@needs(Permission.KEEP_ACCOUNT)
def end_sessions() -> ResponseReturnValue:
    """Sign out everywhere, and void all API tokens."""
    users.sign_out_everywhere(current_account(), by=current_account().viewer)
    return leave(gettext("You are signed out everywhere."))


@blueprint.post("/tokens")
@needs(Permission.KEEP_ACCOUNT)
def create_token() -> ResponseReturnValue:
    """Make an API token and show it, this once."""
    form = TokenForm()
    account = current_account()
    if not form.validate_on_submit():
        return _page(token=form), 422
    lifetime = timedelta(days=form.days.data) if form.days.data else None
    made = tokens.create(account, name=form.label.data, by=account.viewer, lifetime=lifetime)
    return render_template("accounts/token.html", token=made, label=form.label.data)


@blueprint.post("/tokens/<int:token_id>/revocation")
@needs(Permission.KEEP_ACCOUNT)
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Void one of one's own API tokens."""
    account = current_account()
    found = [token for token in tokens.tokens_of(account) if token.id == token_id]
    if not found:
        raise NotFound
    tokens.revoke(found[0], by=account.viewer)
    flash(gettext("That token is revoked."), "success")
    return redirect(url_for("me.show", _anchor="tokens"), 303)


@blueprint.get("/second-factor")
@needs(Permission.KEEP_ACCOUNT)
def show_second_factor() -> str:
    """Show the second factor, or the way to set one up."""
    return _second_factor_page()


@blueprint.post("/second-factor")
@needs(Permission.KEEP_ACCOUNT)
def begin_second_factor() -> ResponseReturnValue:
    """Make a new secret, which the first code will put in force."""
    form = ProofForm()
    try:
        if form.validate_on_submit() and _is_proven(form):
            second_factor.prepare(current_account())
            return redirect(url_for("me.show_second_factor"), 303)
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _second_factor_page(form, locked=sentence))
    return _second_factor_page(form), 422


@blueprint.get("/second-factor/picture.svg")
@needs(Permission.KEEP_ACCOUNT)
def second_factor_picture() -> Response:
    """Draw the secret that waits to be confirmed, for the authenticator's camera."""
    import segno  # Few ask for it, once.

    account = current_account()
    secret = second_factor.pending_secret(account)
    if secret is None:
        raise NotFound
    drawn = BytesIO()
    segno.make(second_factor.address(account, secret), error="m").save(
        drawn, kind="svg", scale=6, border=4, light="#fff"
    )
    return Response(drawn.getvalue(), mimetype="image/svg+xml")


@blueprint.post("/second-factor/confirmation")
@needs(Permission.KEEP_ACCOUNT)
def confirm_second_factor() -> ResponseReturnValue:
    """Put the new secret in force and show the recovery codes, this once."""
    form = ConfirmCodeForm()
    account = current_account()
    if not form.validate_on_submit():
        return _second_factor_page(form), 422
    codes = second_factor.confirm(account, form.code.data, by=account.viewer)
    if codes is None:
        form.code.errors = [gettext("This code does not fit. Check the clock of your phone and type the next code.")]
        return _second_factor_page(form), 422
    return _show_codes(codes)


@blueprint.post("/second-factor/recovery-codes")
@needs(Permission.KEEP_ACCOUNT)
def renew_recovery_codes() -> ResponseReturnValue:
    """Replace the recovery codes and show them, this once."""
    form = ProofForm()
    account = current_account()
    try:
        if form.validate_on_submit() and account.totp_secret is not None and _is_proven(form):
            return _show_codes(second_factor.renew_recovery_codes(account, by=account.viewer))
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _second_factor_page(form, locked=sentence))
    return _second_factor_page(form), 422


@blueprint.post("/second-factor/removal")
@needs(Permission.KEEP_ACCOUNT)
def remove_second_factor() -> ResponseReturnValue:
    """Take the second factor away."""
    form = ProofForm()
    account = current_account()
    try:
        if form.validate_on_submit() and account.totp_secret is not None and _is_proven(form):
            second_factor.remove(account, by=account.viewer)
            return leave(gettext("The second factor is removed and you are signed out everywhere."))
    except TooManyAttempts as error:
        return too_many(error, lambda sentence: _second_factor_page(form, locked=sentence))
    return _second_factor_page(form), 422


def _page(
    *,
    profile: ProfileForm | None = None,
    password: PasswordForm | None = None,
    token: TokenForm | None = None,
    locked: str = "",
) -> str:
    """Render the page with the form that was sent, if one was, and fresh ones beside it."""
    account = current_account()
    return render_template(
        "accounts/me.html",
        account=account,
        form=profile or password or token,
        profile=profile or ProfileForm(formdata=None, name=account.name, locale=account.locale or ""),
        password=password or PasswordForm(formdata=None),
        token=token or TokenForm(formdata=None),
        sessions=sessions.sessions_of(account),
        present_session=g.account_session,
        tokens=tokens.tokens_of(account),
        locked=locked,
    )


def _second_factor_page(form: ProofForm | ConfirmCodeForm | None = None, *, locked: str = "") -> str:
    account = current_account()
    return render_template(
        "accounts/second_factor.html",
        account=account,
        form=form,
        proof=form if isinstance(form, ProofForm) else ProofForm(formdata=None),
        confirmation=form if isinstance(form, ConfirmCodeForm) else ConfirmCodeForm(formdata=None),
        secret=second_factor.pending_secret(account),
        codes_left=second_factor.recovery_codes_left(account),
        locked=locked,
    )


def _show_codes(codes: list[str]) -> str:
    """Show the recovery codes on the last page of this session, which has just ended like all others."""
    session.clear()
    g.viewer, g.account = ANONYMOUS, None
    return render_template("accounts/recovery_codes.html", codes=codes)


def _is_proven(form: ProofForm | PasswordForm) -> bool:
    if sign_in.prove(current_account(), form.present.data, caller=caller()):
        return True
    form.present.errors = [gettext("This is not your password.")]
    return False
