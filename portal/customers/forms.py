"""What people fill in about customers.  Contacts are rows of the form; `customers` judges what the fields may hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import FieldList, Form, FormField, HiddenField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired

from portal.customers import contacts, fields
from portal.customers.contacts import ContactDraft
from portal.customers.models import Customer
from portal.errors import Invalid

KIND_NAMES = {"company": _("Company"), "person": _("Person")}
LANGUAGE_NAMES = {"en": "English", "zh": "中文"}
EMPTY_ROWS = 1


class ContactRow(Form):
    """One contact; a row that is left empty is none."""

    id = HiddenField()
    name = StringField(_("Name"))
    job = StringField(_("Position"))
    emails = StringField(_("E-mail addresses"), description=_("Several are separated by commas."))
    phones = StringField(_("Phone numbers"), description=_("With country code, or as dialled in the region."))

    def draft(self) -> ContactDraft | None:
        """Return the contact as it was filled in, or None for an empty row."""
        values = {name: (self[name].data or "").strip() for name in ("name", "job", "emails", "phones")}
        if not any(values.values()):
            return None
        number = (self["id"].data or "").strip()
        return ContactDraft(
            id=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None,
            name=values["name"],
            job=values["job"],
            emails=values["emails"],
            phones=values["phones"],
        )


class CustomerForm(FlaskForm):
    """A customer profile with its contacts."""

    version = HiddenField()
    kind = SelectField(_("Kind"), choices=[SelectChoice(*one) for one in KIND_NAMES.items()], default="company")
    name = StringField(_("Name"), [InputRequired()])
    region = StringField(_("Country or region"), description=_("Phone numbers are understood by it."))
    language = SelectField(_("Language"), choices=[SelectChoice(*one) for one in LANGUAGE_NAMES.items()], default="en")
    segment = StringField(_("Segment"))
    tags = StringField(_("Tags"), description=_("Separated by commas."))
    products = StringField(_("Products owned"), description=_("Separated by commas."))
    contacts = FieldList(FormField(ContactRow), label=_("Contacts"), max_entries=contacts.MOST_CONTACTS + 1)
    notes = TextAreaField(_("Notes"), description=_("Only staff read them."))

    PLAIN = ("kind", "name", "region", "language", "segment", "tags", "products", "notes")

    def fields(self) -> dict[str, Any]:
        """Return the filled-in fields under the operation's names; what was not sent is left alone."""
        values: dict[str, Any] = {name: self[name].data or "" for name in self.PLAIN if self[name].raw_data}
        drafts = [row.form.draft() for row in self.contacts]
        if self.contacts.entries:
            values["contacts"] = [draft for draft in drafts if draft is not None]
        return values

    def add_empty_row(self) -> None:
        """Offer one more contact."""
        if len(self.contacts) <= contacts.MOST_CONTACTS:
            self.contacts.append_entry()

    def take_over(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the contacts that somebody else added meanwhile; those they removed become new ones again."""
        known = {str(row["id"]) for row in rows}
        sent = {row.form["id"].data for row in self.contacts}
        for row in self.contacts:
            if row.form["id"].data not in known:
                row.form["id"].data = ""
        for row in rows:
            if str(row["id"]) not in sent:
                self.contacts.append_entry(row)

    def show_errors(self, invalid: Invalid) -> None:
        """Put each sentence beside its field; `contacts-1-emails` is the second contact that was filled in."""
        filled = [row for row in self.contacts if row.form.draft() is not None]
        for name, sentence in invalid.fields.items():
            head, _sep, rest = name.partition("-")
            place, _sep, part = rest.partition("-")
            if head == "contacts" and part:
                field = filled[int(place)].form[part]
                field.errors = [*field.errors, sentence]
            elif name in self.PLAIN:
                self[name].errors = [*self[name].errors, sentence]
            else:
                self.form_errors.append(sentence)


def values_of(customer: Customer) -> dict[str, Any]:
    """Return a customer as the form shows it."""
    shape = fields.shape(customer)
    return {
        **{name: shape[name] for name in CustomerForm.PLAIN if name not in ("tags", "products")},
        "version": shape["version"],
        "tags": ", ".join(shape["tags"]),
        "products": ", ".join(shape["products"]),
        "contacts": [
            {
                "id": draft.id,
                "name": draft.name,
                "job": draft.job,
                "emails": ", ".join(draft.emails),
                "phones": ", ".join(draft.phones),
            }
            for draft in shape["contacts"]
        ],
    }
