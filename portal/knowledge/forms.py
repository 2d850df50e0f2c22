"""What people fill in about articles.  Forms carry the words; the operations judge them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from flask_wtf.file import MultipleFileField
from wtforms import (
    BooleanField,
    DateField,
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional
from wtforms.widgets import CheckboxInput, HiddenInput, ListWidget

from portal.knowledge.fields import OUTCOMES, TEXTS
from portal.knowledge.models import PARTS
from portal.vocabulary.forms import AUDIENCE_NAMES, chosen_from

LANGUAGES = {"en": "English", "zh": "中文"}
OUTCOME_NAMES = {"success": _("Solved"), "failure": _("Not solved")}


def _whole_or_none(value: Any) -> int | None:
    return int(value) if value not in (None, "", "None") else None


class SelectMultipleCheckboxField(SelectMultipleField):
    """Several of a list, each with a box of its own: nobody has to know how to choose two lines at once."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class ArticleForm(FlaskForm):
    """All fields of an article; which parts it has depends on its kind."""

    title = StringField(_("Title"), description=_("As the reader would ask or name it."))
    language = SelectField(_("Language"))
    summary = TextAreaField(_("Summary"), description=_("One or two sentences for lists and search results."))
    body = TextAreaField(_("Answer"))
    environment = TextAreaField(_("Environment"))
    issue = TextAreaField(_("Issue"))
    cause = TextAreaField(_("Cause"))
    resolution = TextAreaField(_("Resolution"))
    lesson = TextAreaField(_("Lesson learned"))
    outcome = SelectField(_("Outcome"))
    category_id = SelectField(_("Category"), coerce=_whole_or_none)
    product_ids = SelectMultipleCheckboxField(_("Products"), coerce=int)
    tags = StringField(_("Tags"), description=_("Divide them with commas."))
    audience = RadioField(_("Who may read it"), choices=chosen_from(AUDIENCE_NAMES), default="public")
    is_shared = BooleanField(_("All staff may read and edit this draft"))
    owner_id = SelectField(_("Owner"), coerce=_whole_or_none)
    review_at = DateField(
        _("Review by"), [Optional()], description=_("From that day on readers see that it may be out of date.")
    )
    note = StringField(_("What changed and why"), description=_("For the history. Readers do not see it."))
    version = IntegerField(widget=HiddenInput())
    translation_of = HiddenField()

    def offer(
        self,
        *,
        kind: str,
        categories: Iterable[tuple[int, str]],
        products: Iterable[tuple[int, str]],
        owners: Iterable[tuple[int, str]],
        language: str,
    ) -> None:
        """Fill the choices, and take away the parts that this kind does not have."""
        self.language.choices = chosen_from(LANGUAGES | {language: LANGUAGES.get(language, language)})
        self.category_id.choices = chosen_from({"": _("None")} | dict(categories))
        self.product_ids.choices = chosen_from(dict(products))
        self.owner_id.choices = chosen_from({"": _("Nobody")} | dict(owners))
        self.outcome.choices = chosen_from({"": _("Not known")} | {name: OUTCOME_NAMES[name] for name in OUTCOMES})
        for part in TEXTS:
            if part not in PARTS[kind]:
                delattr(self, part)
        if kind != "case_study":
            del self.outcome

    def changes(self) -> dict[str, Any]:
        """Return what was filled in, as operations take it."""
        given = {name: field.data for name, field in self._fields.items() if name not in _NOT_OF_THE_ARTICLE}
        if given.get("review_at") is not None:
            given["review_at"] = datetime.combine(given["review_at"], time(), UTC)
        return given

    def show_refusals(self, refusals: Mapping[str, str]) -> None:
        """Put an operation's sentences beside the fields they are about."""
        for name, sentence in refusals.items():
            if name in self._fields:
                self._fields[name].errors = [sentence]
            else:
                self.form_errors.append(sentence)


_NOT_OF_THE_ARTICLE = frozenset({"csrf_token", "note", "version", "translation_of"})


class VoteForm(FlaskForm):
    """Was this helpful?"""

    answer = SelectField(choices=chosen_from({"yes": "yes", "no": "no", "none": "none"}))
    reason = TextAreaField(_("What was missing or wrong?"), description=_("Please leave out names and passwords."))


class FilesForm(FlaskForm):
    """Files for an article."""

    files = MultipleFileField(_("Files"))


class ConfirmForm(FlaskForm):
    """What cannot be undone is confirmed by typing."""

    title = StringField(_("Type the title to confirm"))


class TranslationForm(FlaskForm):
    """Another article that says the same."""

    address = StringField(_("Address or number of the other article"))
