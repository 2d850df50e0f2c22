"""What people type about accounts.  A form takes the fields it declares and nothing else."""

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length


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
