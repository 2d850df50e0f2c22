"""What editors fill in to steer the search.  The operations judge it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, time
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    DateField,
    FloatField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from portal.accounts.models import User
from portal.search.ranking import WEIGHTS
from portal.steering.models import Steered

ACTION_NAMES = {
    "pin": _("Pin: the article stands first"),
    "hide": _("Hide: the article is left out"),
}


class SteeringForm(FlaskForm):
    """Fields that become an operation's changes."""

    def changes(self) -> dict[str, Any]:
        """Return what was filled in; a day becomes its beginning in UTC."""
        given = {name: field.data for name, field in self._fields.items() if name != "csrf_token"}
        if given.get("expires_at") is not None:
            given["expires_at"] = datetime.combine(given["expires_at"], time(), UTC)
        return given

    def show_refusals(self, refusals: Mapping[str, str]) -> None:
        """Put an operation's sentences beside the fields they are about."""
        for name, sentence in refusals.items():
            if name in self._fields:
                self._fields[name].errors = sentence.split("\n")
            else:
                self.form_errors.append(sentence)


def _owner_field() -> SelectField:
    return SelectField(_("Owner"), coerce=lambda given: int(given) if given else None)


class OwnedForm(SteeringForm):
    """A rule that somebody answers for.  A new one is its maker's; of one that is there, the owner can be changed."""

    owner_id: SelectField

    def let_choose(self, rule: Steered, possible: Iterable[User]) -> None:
        """Offer those who can own the rule, and whoever owns it now."""
        choices = [SelectChoice(str(user.id), user.name) for user in possible]
        current = str(rule.owner.id) if rule.owner else ""
        if current not in {choice.value for choice in choices}:
            choices.insert(0, SelectChoice(current, rule.owner.name if rule.owner else _("Nobody")))
        self.owner_id.choices = choices


class SynonymForm(OwnedForm):
    """Words that search treats alike."""

    words = StringField(_("Words that people type"))
    others = TextAreaField(_("Find these, too"), description=_("Divide them with commas."))
    is_two_way = BooleanField(_("Both ways: each of them finds all the others"), default=True)
    is_active = BooleanField(_("In force"), default=True)
    reason = StringField(_("Why"))
    expires_at = DateField(_("Until"), [Optional()], description=_("It stops by itself when this day begins (UTC)."))
    owner_id = _owner_field()


class LinesForm(SteeringForm):
    """Many synonyms at once, one rule a line."""

    lines = TextAreaField(
        _("Rules, one a line"),
        description=_("“a, b, c” goes both ways; “a => b, c” leads from a to the others. # begins a note."),
    )
    is_active = BooleanField(_("In force"), default=True)
    reason = StringField(_("Why"))
    expires_at = DateField(
        _("Until"), [Optional()], description=_("They stop by themselves when this day begins (UTC).")
    )


class RuleForm(OwnedForm):
    """A pin or a hide."""

    action = RadioField(
        _("What happens"), choices=[SelectChoice(value, label) for value, label in ACTION_NAMES.items()], default="pin"
    )
    words = StringField(
        _("When people search for"),
        description=_("Spelling, order and words such as “how do I” make no difference."),
    )
    is_exact = BooleanField(
        _("Only for these words"),
        default=True,
        description=_("Otherwise also for longer searches that hold all of them."),
    )
    article = StringField(_("Article"), description=_("The address of its page, or its number."))
    position = IntegerField(
        _("Place among pins"),
        [Optional()],
        default=1,
        description=_("Among several pins for the same words, 1 stands first."),
    )
    reason = StringField(_("Why"), description=_("Whoever meets the rule later will want to know."))
    expires_at = DateField(_("Until"), [Optional()], description=_("It stops by itself when this day begins (UTC)."))
    is_active = BooleanField(_("In force"), default=True)
    owner_id = _owner_field()

    def changes(self) -> dict[str, Any]:
        """Return what was filled in; an empty position is the first."""
        return super().changes() | {"position": self.position.data if self.position.data is not None else 1}


VIEWER_NAMES = {
    "anonymous": _("Readers who are not signed in"),
    "customer": _("Customers"),
    "agent": _("Staff"),
}


class SetForm(SteeringForm):
    """A named set of judged queries."""

    name = StringField(_("Name"))
    viewer_kind = SelectField(
        _("Searched as"),
        choices=[SelectChoice(value, label) for value, label in VIEWER_NAMES.items()],
        default="anonymous",
    )
    source = StringField(
        _("Source"), description=_("Search only what was imported under this name; documents go by their external id.")
    )


class QueryForm(SteeringForm):
    """A query to judge."""

    text = StringField(_("What people search for"))
    language = StringField(_("Language"), description=_("Such as en or zh."))


class FilesForm(SteeringForm):
    """Queries and judgements in the formats of `casebook evaluate`."""

    queries = FileField(_("Queries"), description=_("queries.jsonl: a line of JSON with id, text and lang for each."))
    qrels = FileField(_("Judgements"), description=_("qrels.tsv: query_id, doc_id and relevance, divided by tabs."))


class ConfigurationForm(SteeringForm):
    """A named configuration of the ranking; a field for every weight is added below."""

    name = StringField(_("Name"))
    note = TextAreaField(_("What it is meant to better"))

    def changes(self) -> dict[str, Any]:
        """Return what was filled in; an empty weight is the product's own."""
        given = super().changes()
        standard = asdict(WEIGHTS)
        weights = {name: standard[name] if given[name] is None else given[name] for name in standard}
        return {"name": given["name"], "note": given["note"], "weights": weights}


for _name, _standard in asdict(WEIGHTS).items():
    setattr(ConfigurationForm, _name, FloatField(_name, [Optional()], default=_standard))
