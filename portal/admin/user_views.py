"""Other people's accounts: the list, invitations, roles, disabling."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.access import Permission
from portal.accounts import second_factor, sessions, tokens, users
from portal.accounts.forms import take_errors
from portal.accounts.guard import current_viewer, needs
from portal.accounts.models import User
from portal.admin.forms import ROLE_NAMES, ConfirmationForm, InvitationForm, RoleForm, company_named
from portal.audit import load_page as load_audit_page
from portal.customers.models import Customer
from portal.errors import Invalid
from portal.extensions import db

STEPS_SHOWN = 10

blueprint = Blueprint("users", __name__, url_prefix="/admin/users")


@blueprint.get("")
@needs(Permission.MANAGE_USERS)
def show_list() -> str:
    """Search and filter the accounts."""
    wanted = {name: request.args.get(name, "")[:200] for name in ("q", "role", "state")}
    page = users.load_page(
        words=wanted["q"],
        role=wanted["role"],
        state=wanted["state"],
        page=request.args.get("page", 1, type=int),
    )
    return render_template("admin/users.html", page=page, wanted=wanted, role_names=ROLE_NAMES)


@blueprint.get("/new")
@needs(Permission.MANAGE_USERS)
def show_invitation() -> str:
    """Ask whom to invite."""
    return render_template("admin/users_new.html", form=InvitationForm(formdata=None))


@blueprint.post("/new")
@needs(Permission.MANAGE_USERS)
def invite() -> ResponseReturnValue:
    """Make an account and mail its owner a link."""
    form = InvitationForm()
    try:
        if form.validate_on_submit():
            user = users.invite(
                name=form.name.data,
                email=form.email.data,
                role=form.role.data,
                customer_id=company_named(form.customer_id.data),
                locale=form.locale.data,
                by=current_viewer(),
            )
            flash(
                gettext("An invitation to %(email)s is on its way. It works for an hour.", email=user.email), "success"
            )
            return redirect(url_for("users.show", user_id=user.id), 303)
    except Invalid as error:
        take_errors(form, error)
    return render_template("admin/users_new.html", form=form), 422


@blueprint.get("/<int:user_id>")
@needs(Permission.MANAGE_USERS)
def show(user_id: int) -> str:
    """Show one account and what can be done with it."""
    return _page(users.load_user(user_id))


@blueprint.post("/<int:user_id>/role")
@needs(Permission.MANAGE_USERS)
def save_role(user_id: int) -> ResponseReturnValue:
    """Give an account another role or company."""
    user = users.load_user(user_id)
    form = RoleForm()
    try:
        if form.validate_on_submit():
            users.set_role(user, form.role.data, customer_id=company_named(form.customer_id.data), by=current_viewer())
            flash(gettext("Saved. %(name)s is signed out everywhere.", name=user.name), "success")
            return redirect(url_for("users.show", user_id=user.id), 303)
    except Invalid as error:
        take_errors(form, error)
    return _page(user, role=form), 422


@blueprint.post("/<int:user_id>/invitation")
@needs(Permission.MANAGE_USERS)
def send_invitation(user_id: int) -> ResponseReturnValue:
    """Mail another invitation."""
    user = users.load_user(user_id)
    users.send_invitation(user, by=current_viewer())
    flash(gettext("An invitation to %(email)s is on its way. It works for an hour.", email=user.email), "success")
    return redirect(url_for("users.show", user_id=user.id), 303)


@blueprint.post("/<int:user_id>/sessions/end")
@needs(Permission.MANAGE_USERS)
def end_sessions(user_id: int) -> ResponseReturnValue:
    """Sign somebody out everywhere."""
    user = users.load_user(user_id)
    users.sign_out_everywhere(user, by=current_viewer())
    flash(gettext("%(name)s is signed out everywhere.", name=user.name), "success")
    return redirect(url_for("users.show", user_id=user.id), 303)


@blueprint.post("/<int:user_id>/second-factor/removal")
@needs(Permission.MANAGE_USERS)
def remove_second_factor(user_id: int) -> ResponseReturnValue:
    """Take the second factor from somebody who lost it."""
    user = users.load_user(user_id)
    form = ConfirmationForm()
    if not _is_confirmed(form, user):
        return _page(user, confirmation=form), 422
    second_factor.remove(user, by=current_viewer())
    flash(gettext("%(name)s has no second factor now and is signed out everywhere.", name=user.name), "success")
    return redirect(url_for("users.show", user_id=user.id), 303)


@blueprint.post("/<int:user_id>/disablement")
@needs(Permission.MANAGE_USERS)
def disable(user_id: int) -> ResponseReturnValue:
    """Shut an account."""
    user = users.load_user(user_id)
    form = ConfirmationForm()
    try:
        if _is_confirmed(form, user):
            users.disable(user, by=current_viewer())
            flash(gettext("%(name)s is disabled and signed out everywhere.", name=user.name), "success")
            return redirect(url_for("users.show", user_id=user.id), 303)
    except Invalid as error:
        form.typed.errors = list(error.fields.values())
    return _page(user, confirmation=form), 422


@blueprint.post("/<int:user_id>/enablement")
@needs(Permission.MANAGE_USERS)
def enable(user_id: int) -> ResponseReturnValue:
    """Open a disabled account again."""
    user = users.load_user(user_id)
    users.enable(user, by=current_viewer())
    flash(gettext("%(name)s is active again.", name=user.name), "success")
    return redirect(url_for("users.show", user_id=user.id), 303)


def _is_confirmed(form: ConfirmationForm, user: User) -> bool:
    if not form.validate_on_submit():
        return False
    if form.typed.data.strip().lower() == user.email:
        return True
    form.typed.errors = [gettext("This is not the e-mail address of the account.")]
    return False


def _page(user: User, *, role: RoleForm | None = None, confirmation: ConfirmationForm | None = None) -> str:
    company = db.session.get(Customer, user.customer_id) if user.customer_id is not None else None
    return render_template(
        "admin/users_one.html",
        user=user,
        company=company,
        form=role or confirmation,
        role=role or RoleForm(formdata=None, role=user.role, customer_id=company.name if company else ""),
        confirmation=confirmation or ConfirmationForm(formdata=None),
        role_names=ROLE_NAMES,
        session_count=len(sessions.sessions_of(user)),
        token_count=len(tokens.tokens_of(user)),
        steps=load_audit_page(kind="user", object_id=user.id, size=STEPS_SHOWN).entries,
    )
