"""What editors fill in about categories, products and tags.  The operations judge it."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional
from wtforms.widgets import HiddenInput

AUDIENCE_NAMES = {
    "public": _("Everybody"),
    "customers": _("Customers who are signed in"),
    "internal": _("Staff only"),
}


def chosen_from(names: Mapping[Any, Any]) -> list[SelectChoice]:
    """Return the choices of a field from value → name."""
    return [SelectChoice(value, name) for value, name in names.items()]


def _whole_or_none(value: Any) -> int | None:
    return int(value) if value not in (None, "", "None") else None


class WordForm(FlaskForm):
    """A word with its two names."""

    name = StringField(_("Name"))
    name_zh = StringField(_("Chinese name"))

    def changes(self) -> dict[str, Any]:
        """Return what was filled in, as operations take it."""
        return {name: field.data for name, field in self._fields.items() if name not in {"csrf_token", "version"}}

    def show_refusals(self, refusals: Mapping[str, str]) -> None:
        """Put an operation's sentences beside the fields they are about."""
        for name, sentence in refusals.items():
            if name in self._fields:
                self._fields[name].errors = [sentence]
            else:
                self.form_errors.append(sentence)


class CategoryForm(WordForm):
    """A place in the tree."""

    description = TextAreaField(_("Description"))
    parent_id = SelectField(_("Below"), coerce=_whole_or_none)
    position = IntegerField(
        _("Position"), [Optional()], default=0, description=_("Smaller numbers come first among their neighbours.")
    )
    audience = RadioField(
        _("Who may read what is in here"),
        choices=chosen_from(AUDIENCE_NAMES),
        default="public",
        description=_("It narrows everything below it as well. A change is effective at once."),
    )
    version = IntegerField(widget=HiddenInput())

    def changes(self) -> dict[str, Any]:
        """Return what was filled in; an empty position is the first."""
        return super().changes() | {"position": self.position.data or 0}


class ProductForm(WordForm):
    """Something the company sells and supports."""

    family_id = SelectField(_("Family"), coerce=_whole_or_none)
    part_number = StringField(_("Part number"))
    is_discontinued = BooleanField(_("No longer sold"))


class MergeForm(FlaskForm):
    """Which tag takes over."""

    into = SelectField(_("Merge into"), coerce=int)
