"""The pages of customers: list and look-up, a profile, its form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Flask, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from portal.access import Permission, Viewer
from portal.accounts.guard import current_viewer, needs
from portal.customers import contacts, customers
from portal.customers.forms import CustomerForm, values_of
from portal.customers.models import Customer
from portal.errors import Conflict, Invalid

blueprint = Blueprint("customers", __name__)
BESIDE = "casebook.beside_customer"
Beside = Callable[[Viewer, Customer], Mapping[str, Any]]


def show_beside(app: Flask, load: Beside) -> None:
    """Let a feature above this one show what it knows of a customer on the customer's page."""
    app.extensions.setdefault(BESIDE, []).append(load)


@blueprint.get("/customers")
@needs(Permission.READ_CUSTOMERS)
def index() -> ResponseReturnValue:
    """List customers, or find them by name, contact, e-mail address or phone number."""
    typed = request.args.get("page", "1")
    page = customers.load_page(
        current_viewer(),
        q=request.args.get("q", ""),
        page=max(1, int(typed)) if typed.isascii() and typed.isdigit() and len(typed) < 7 else 1,
        is_archived=request.args.get("archived") == "1",
        kind=request.args.get("kind", ""),
        tag=request.args.get("tag", ""),
    )
    return render_template("customers/index.html", page=page)


@blueprint.get("/customers/new")
@needs(Permission.WRITE_CUSTOMERS)
def new() -> ResponseReturnValue:
    """Show an empty form."""
    form = CustomerForm(formdata=None, data={"name": request.args.get("name", "")[:200]})
    form.add_empty_row()
    return render_template("customers/form.html", form=form, customer=None, differing=())


@blueprint.post("/customers/new")
@needs(Permission.WRITE_CUSTOMERS)
def create() -> ResponseReturnValue:
    """Make a customer."""
    form = CustomerForm()
    if "more" in request.form:
        return _with_one_more(form, None)
    try:
        customer = customers.create(by=current_viewer(), **form.fields())
    except Invalid as invalid:
        form.show_errors(invalid)
        return render_template("customers/form.html", form=form, customer=None, differing=()), 422
    flash(gettext("%(name)s was added.", name=customer.name), "success")
    return _to(customer)


@blueprint.get("/customers/<int:customer_id>")
@needs(Permission.READ_CUSTOMERS)
def show(customer_id: int) -> ResponseReturnValue:
    """Show a profile with its contacts, and what other features know of it."""
    viewer = current_viewer()
    customer = customers.get_readable(viewer, customer_id)
    beside: dict[str, Any] = {}
    for load in current_app.extensions.get(BESIDE, ()):
        beside |= load(viewer, customer)
    reach = [contacts.draft_of(contact) for contact in customer.contacts]
    return render_template("customers/show.html", customer=customer, contacts=reach, beside=beside)


@blueprint.get("/customers/<int:customer_id>/profile")
@needs(Permission.WRITE_CUSTOMERS)
def edit(customer_id: int) -> ResponseReturnValue:
    """Show the form."""
    customer = customers.get_readable(current_viewer(), customer_id)
    form = CustomerForm(formdata=None, data=values_of(customer))
    form.add_empty_row()
    return render_template("customers/form.html", form=form, customer=customer, differing=())


@blueprint.post("/customers/<int:customer_id>/profile")
@needs(Permission.WRITE_CUSTOMERS)
def save(customer_id: int) -> ResponseReturnValue:
    """Save a profile; over a newer version both are shown."""
    customer = customers.get_readable(current_viewer(), customer_id)
    form = CustomerForm()
    if "more" in request.form:
        return _with_one_more(form, customer)
    version = form.version.data or ""
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        abort(400)
    try:
        customers.save(customer, by=current_viewer(), version=int(version), **form.fields())
    except Invalid as invalid:
        form.show_errors(invalid)
        return render_template("customers/form.html", form=form, customer=customer, differing=()), 422
    except Conflict as conflict:
        return _conflict(form, customers.get_readable(current_viewer(), customer_id), conflict)
    flash(gettext("Saved."), "success")
    return _to(customer)


@blueprint.post("/customers/<int:customer_id>/archiving")
@needs(Permission.WRITE_CUSTOMERS)
def set_archived(customer_id: int) -> ResponseReturnValue:
    """Put a customer away, or bring it back."""
    customer = customers.get_readable(current_viewer(), customer_id)
    customer = customers.archive(customer, by=current_viewer(), is_archived=request.form.get("archived") == "1")
    if customer.is_archived:
        flash(gettext("%(name)s was put away.", name=customer.name), "success")
    else:
        flash(gettext("%(name)s is back.", name=customer.name), "success")
    return _to(customer)


def _with_one_more(form: CustomerForm, customer: Customer | None) -> ResponseReturnValue:
    form.add_empty_row()
    return render_template("customers/form.html", form=form, customer=customer, differing=())


def _conflict(form: CustomerForm, customer: Customer, conflict: Conflict) -> ResponseReturnValue:
    current = values_of(customer)
    differing: Sequence[tuple[str, str, str, str]] = [
        (name, form[name].label.text, str(current[name]), str(form[name].data or ""))
        for name in form.PLAIN
        if str(current[name]) != str(form[name].data or "")
    ]
    now, sent = (_contact_lines(rows) for rows in (current["contacts"], [row.data for row in form.contacts]))
    if now != sent:
        differing = [*differing, ("contacts", gettext("Contacts"), now, sent)]
    form.version.data = form.version.raw_data = conflict.current["version"]
    form.take_over(current["contacts"])
    return render_template("customers/form.html", form=form, customer=customer, differing=differing), 409


def _contact_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        " · ".join(str(row[part] or "") for part in ("name", "job", "emails", "phones") if row[part]) for row in rows
    ]
    return "\n".join(line for line in lines if line)


def _to(customer: Customer) -> ResponseReturnValue:
    return redirect(url_for("customers.show", customer_id=customer.id), 303)


def init_app(app: Flask) -> None:
    """Register the pages."""
    app.register_blueprint(blueprint)
