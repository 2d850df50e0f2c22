"""What people type about accounts.  A form takes the fields it declares and nothing else."""

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, IntegerField, PasswordField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from portal.accounts import passwords, users
from portal.errors import Invalid

LANGUAGES = [SelectChoice("en", "English"), SelectChoice("zh", "中文")]
PASSWORD_HINT = _("At least %(least)d characters; a few words are easier to keep than signs.", least=passwords.SHORTEST)


class SignInForm(FlaskForm):
    """Address and password.  Lengths are judged with them: a refusal here would tell more than a wrong password."""

    email = EmailField(_("E-mail address"), [InputRequired(_("Type your e-mail address."))])
    password = PasswordField(_("Password"), [InputRequired(_("Type your password."))])
    is_remembered = BooleanField(_("Keep me signed in on this device"))
    next = HiddenField()


class CodeForm(FlaskForm):
    """The second step."""

    code = StringField(_("Code"), [InputRequired(_("Type the code.")), Length(max=40)])
    code_token = HiddenField()
    is_remembered = HiddenField()
    next = HiddenField()


class ResetForm(FlaskForm):
    """Where to send a link."""

    email = EmailField(_("E-mail address"), [InputRequired(_("Type your e-mail address."))])


class NewPasswordForm(FlaskForm):
    """A first password, or a new one for somebody who came by a link."""

    password = PasswordField(_("New password"), [InputRequired(_("Type a new password."))], description=PASSWORD_HINT)


class ProfileForm(FlaskForm):
    """What somebody is called and reads."""

    name = StringField(_("Name"), [InputRequired(_("Type your name.")), Length(max=users.LONGEST_NAME)])
    locale = SelectField(_("Language"), choices=[SelectChoice("", _("As my browser asks")), *LANGUAGES])


class PasswordForm(FlaskForm):
    """A new password for somebody who knows the present one."""

    present = PasswordField(_("Present password"), [InputRequired(_("Type your present password."))])
    password = PasswordField(_("New password"), [InputRequired(_("Type a new password."))], description=PASSWORD_HINT)


class ProofForm(FlaskForm):
    """The password, asked again before something that a borrowed screen must not do."""

    present = PasswordField(_("Your password"), [InputRequired(_("Type your password."))])


class ConfirmCodeForm(FlaskForm):
    """The first code of a new authenticator."""

    code = StringField(_("Code"), [InputRequired(_("Type the code that your authenticator shows.")), Length(max=40)])


class TokenForm(FlaskForm):
    """A new API token."""

    label = StringField(_("What it is for"), [InputRequired(_("Say what the token is for.")), Length(max=120)])
    days = IntegerField(
        _("Works for how many days"),
        [Optional(), NumberRange(1, 3650, _("Type a number of days from 1 to 3650, or leave it empty."))],
        description=_("Empty: until you revoke it."),
    )


def take_errors(form: FlaskForm, error: Invalid) -> None:
    """Show what an operation refused beside the fields it names; what has no field here stands above them."""
    for name, sentence in error.fields.items():
        if name in form:
            form[name].errors = [*form[name].errors, sentence]
        else:
            form.form_errors = [*form.form_errors, sentence]
