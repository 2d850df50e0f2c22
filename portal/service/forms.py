"""What people fill in about records.  A form takes the fields it declares; `records` judges what they may hold."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, cast

from flask_babel import get_locale, gettext
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from wtforms import HiddenField, MultipleFileField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired

from portal.access import Viewer
from portal.errors import Invalid
from portal.extensions import db
from portal.service.changing import Upload
from portal.service.fields import may_choose, shape
from portal.service.models import Record
from portal.service.reading import load_staff
from portal.vocabulary.models import Category, Product

KIND_NAMES = {
    "request": _("Question or request"),
    "repair": _("Repair"),
    "complaint": _("Complaint"),
    "consultation": _("Consultation"),
}
PRIORITY_NAMES = {"low": _("Low"), "normal": _("Normal"), "high": _("High"), "urgent": _("Urgent")}
STATE_NAMES = {
    "new": _("New"),
    "open": _("Open"),
    "waiting": _("Waiting for the customer"),
    "resolved": _("Resolved"),
    "closed": _("Closed"),
}
LANGUAGE_NAMES = {"en": "English", "zh": "中文"}


def as_choices(pairs: Iterable[tuple[str, Any]]) -> list[SelectChoice]:
    """Return pairs of value and name as a select takes them."""
    return [SelectChoice(value, label) for value, label in pairs]


def show_errors(form: FlaskForm, invalid: Invalid) -> None:
    """Put the sentences of a refusal beside the fields they speak of; the others stand on top."""
    for name, sentence in invalid.fields.items():
        field = form._fields.get(name)
        if field is None or field.type == "HiddenField":
            form.form_errors.append(sentence)
        else:
            field.errors = [*field.errors, sentence]


class SubmittedOnce(FlaskForm):
    """A form that does its work once, however often it is sent."""

    submission = HiddenField(default=lambda: str(uuid.uuid4()))


class FileForm(SubmittedOnce):
    """A form that takes files along."""

    files = MultipleFileField(_("Files"), description=_("Photos, documents or logs, at most 25 MB each."))

    def uploads(self) -> list[Upload]:
        """Return the chosen files."""
        chosen = [file for file in self.files.data or () if isinstance(file, FileStorage) and file.filename]
        return [Upload(file.filename or "", cast("BinaryIO", file.stream)) for file in chosen]


class AskForm(FileForm):
    """A customer's request."""

    subject = StringField(_("What is it about?"), [InputRequired()])
    description = TextAreaField(
        _("What happened, and what did you expect?"),
        description=_("Error messages and what you already tried help us most."),
    )
    kind = SelectField(_("Kind"), choices=as_choices(KIND_NAMES.items()), default="request")
    product_id = SelectField(_("Product"), validate_choice=False)
    serial_number = StringField(_("Serial number"), description=_("It stands on the type plate."))
    category_id = SelectField(_("Topic"), validate_choice=False)

    @classmethod
    def build(cls, viewer: Viewer, **values: Any) -> "AskForm":
        """Make the form with the choices this viewer has."""
        form = cls(**values)
        form.product_id.choices = as_choices(product_choices())
        form.category_id.choices = as_choices(category_choices(viewer))
        return form

    def fields(self) -> dict[str, Any]:
        """Return the filled-in fields under the operation's names."""
        names = ("subject", "description", "kind", "product_id", "serial_number", "category_id")
        return {name: self[name].data or "" for name in names} | {"kind": self.kind.data or "request"}


class DetailsForm(SubmittedOnce):
    """Everything that agents may set of a record."""

    version = HiddenField()
    customer_id = SelectField(_("Customer"), validate_choice=False)
    contact_id = SelectField(_("Contact"), validate_choice=False)
    subject = StringField(_("Subject"), [InputRequired()])
    description = TextAreaField(_("Description"))
    kind = SelectField(_("Kind"), choices=as_choices(KIND_NAMES.items()), default="request")
    priority = SelectField(_("Priority"), choices=as_choices(PRIORITY_NAMES.items()), default="normal")
    product_id = SelectField(_("Product"), validate_choice=False)
    serial_number = StringField(_("Serial number"))
    category_id = SelectField(_("Category"), validate_choice=False)
    assignee_id = SelectField(_("Assignee"), validate_choice=False)
    tags = StringField(_("Tags"), description=_("Separated by commas."))
    language = SelectField(_("Language"), choices=as_choices(LANGUAGE_NAMES.items()), default="en")

    NAMES = (
        "subject",
        "description",
        "kind",
        "priority",
        "product_id",
        "serial_number",
        "category_id",
        "assignee_id",
        "tags",
        "language",
        "customer_id",
        "contact_id",
    )

    @classmethod
    def build(
        cls, viewer: Viewer, *, customers: Sequence[tuple[str, str]], contacts: Sequence[tuple[str, str]], **values: Any
    ) -> "DetailsForm":
        """Make the form; `customers` and `contacts` are the choices for the caller."""
        form = cls(**values)
        form.customer_id.choices = as_choices([("", gettext("No customer")), *customers])
        form.contact_id.choices = as_choices([("", gettext("No contact")), *contacts])
        form.product_id.choices = as_choices(product_choices())
        form.category_id.choices = as_choices(category_choices(viewer))
        form.assignee_id.choices = as_choices(staff_choices())
        return form

    def fields(self) -> dict[str, Any]:
        """Return the filled-in fields under the operation's names; what was not sent is left alone."""
        return {name: self[name].data or "" for name in self.NAMES if self[name].raw_data}


def details_of(record: Record) -> dict[str, Any]:
    """Return a record as the details form shows it."""
    values = shape(record)
    return {
        **{name: "" if values[name] is None else values[name] for name in DetailsForm.NAMES if name != "tags"},
        "tags": ", ".join(values["tags"]),
        "version": values["version"],
    }


class EntryForm(FileForm):
    """A reply or an internal note."""

    seen = HiddenField()
    """The newest entry that the writer has before them."""
    body = TextAreaField(_("Your reply"), [InputRequired()])
    state = SelectField(_("Then"), validate_choice=False)


class BulkForm(FlaskForm):
    """What to change in all the selected records; what is left alone stays as it is."""

    assignee_id = SelectField(_("Assignee"), validate_choice=False)
    state = SelectField(_("State"), validate_choice=False)
    priority = SelectField(_("Priority"), validate_choice=False)
    tags = StringField(_("Add tags"))
    number = StringField(_("Link with request"))

    NOBODY = "nobody"

    @classmethod
    def build(cls, **values: Any) -> "BulkForm":
        """Make the form with its choices."""
        form = cls(**values)
        stay = ("", gettext("Leave it"))
        people = [(str(user.id), user.name) for user in load_staff()]
        form.assignee_id.choices = as_choices([stay, (cls.NOBODY, gettext("Nobody")), *people])
        form.state.choices = as_choices([stay, *STATE_NAMES.items()])
        form.priority.choices = as_choices([stay, *PRIORITY_NAMES.items()])
        return form

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed under the operation's names."""
        typed = {field.name: (field.data or "").strip() for field in self if field.name != "csrf_token"}
        chosen: dict[str, Any] = {name: value for name, value in typed.items() if value}
        if chosen.get("assignee_id") == self.NOBODY:
            chosen["assignee_id"] = None
        return chosen


class ResolutionForm(FlaskForm):
    """What solved it."""

    seen = HiddenField()
    resolution = TextAreaField(
        _("What solved it?"), [InputRequired()], description=_("The customer reads this, and later cases find it.")
    )
    article_id = StringField(_("Article that helped"), description=_("Its number."))


def product_choices() -> list[tuple[str, str]]:
    """Return the products that can be chosen, and none."""
    locale = str(get_locale())
    rows = db.session.scalars(select(Product).where(Product.is_discontinued.is_(False)).order_by(Product.name))
    return [("", gettext("None of them, or not known")), *((str(row.id), row.label(locale)) for row in rows)]


def category_choices(viewer: Viewer) -> list[tuple[str, str]]:
    """Return the categories this viewer may choose, as paths from the root, and none."""
    locale = str(get_locale())
    rows = db.session.scalars(select(Category)).all()
    paths = [
        (str(row.id), " › ".join(step.label(locale) for step in row.path())) for row in rows if may_choose(viewer, row)
    ]
    return [("", gettext("Not sorted yet")), *sorted(paths, key=lambda choice: choice[1])]


def staff_choices() -> list[tuple[str, str]]:
    """Return the members of staff, and nobody."""
    return [("", gettext("Nobody")), *((str(user.id), user.name) for user in load_staff())]
