"""What administrators type about other people's accounts."""

from flask_babel import gettext
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from sqlalchemy import func, select
from wtforms import EmailField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from portal.access import Role
from portal.accounts import users
from portal.accounts.forms import LANGUAGES
from portal.customers.models import Customer
from portal.declared import LARGEST_ID
from portal.errors import Invalid
from portal.extensions import db

ROLE_NAMES = {
    Role.CUSTOMER: _("Customer"),
    Role.AGENT: _("Agent"),
    Role.EDITOR: _("Editor"),
    Role.MANAGER: _("Manager"),
    Role.ADMIN: _("Administrator"),
}


class RoleForm(FlaskForm):
    """What somebody may do and, for a customer, for which company."""

    role = SelectField(
        _("Role"),
        choices=[SelectChoice(role.value, name) for role, name in ROLE_NAMES.items()],
        description=_("Each later role may do all that the earlier ones may."),
    )
    customer_id = StringField(
        _("Company"), [Length(max=200)], description=_("Of a customer: its name or number, as on its page.")
    )


class InvitationForm(RoleForm):
    """A new account, whose owner gets a link by mail."""

    name = StringField(_("Name"), [InputRequired(_("Type a name.")), Length(max=users.LONGEST_NAME)])
    email = EmailField(_("E-mail address"), [InputRequired(_("Type an e-mail address."))])
    locale = SelectField(_("Language"), choices=[SelectChoice("", _("As their browser asks")), *LANGUAGES])


class ConfirmationForm(FlaskForm):
    """The account's address, typed, before something that cannot be undone."""

    typed = StringField(_("Type the e-mail address to confirm"), [InputRequired(_("Type the e-mail address."))])


def company_named(typed: str) -> int | None:
    """Return the customer that is meant by a name or a number; None where nothing was typed.

    Raises:
        Invalid: there is none, or there are several of this name.
    """
    plain = " ".join(typed.split()).lstrip("#")
    if not plain:
        return None
    if plain.isascii() and plain.isdigit():
        meant = Customer.id == (int(plain) if len(plain) < len(str(LARGEST_ID)) else 0)
    else:
        meant = func.lower(Customer.name) == plain.replace("\0", "").lower()
    found = list(db.session.scalars(select(Customer.id).where(meant).limit(2)))
    if not found:
        raise Invalid({"customer_id": gettext("There is no customer %(typed)s.", typed=repr(typed))})
    if len(found) > 1:
        raise Invalid({"customer_id": gettext("Several customers have this name. Type the number of one.")})
    return found[0]
