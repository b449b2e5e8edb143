"""The forms of signing in, invitations and one's own account."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired, EqualTo, Length

from tempadmin.accounts.passwords import LONGEST, SHORTEST
from tempadmin.web.fields import TimeZoneField


class PasswordForm(FlaskForm):
    """The first factor."""

    email = EmailField("E-mail", validators=[DataRequired("Type your e-mail address."), Length(max=254)])
    password = PasswordField("Password", validators=[DataRequired("Type your password."), Length(max=LONGEST)])
    submit = SubmitField("Sign in")


class CodeForm(FlaskForm):
    """The second factor."""

    code = StringField(
        "Authentication code",
        description="Six digits from your authenticator, or one of your recovery codes.",
        validators=[DataRequired("Type the code that your authenticator shows."), Length(max=60)],
    )
    submit = SubmitField("Verify")


class JoinForm(FlaskForm):
    """A new person's password."""

    password = PasswordField(
        "Password",
        description=f"{SHORTEST} characters or more; a sentence is good.",
        validators=[DataRequired("Choose a password."), Length(min=SHORTEST, max=LONGEST)],
    )
    password_again = PasswordField(
        "Password again", validators=[EqualTo("password", "The two passwords are not the same.")]
    )
    submit = SubmitField("Set up my account")


class EnrolForm(FlaskForm):
    """A known person's new second factor: the link alone is not enough."""

    password = PasswordField("Password", validators=[DataRequired("Type your password."), Length(max=LONGEST)])
    submit = SubmitField("Set up my account")


class _Seed:
    """What proves that the device has read the picture; the seed travels sealed (S02)."""

    code = StringField(
        "Authentication code",
        description="Six digits, from the device that has just read the picture.",
        validators=[DataRequired("Type the code that your authenticator shows now."), Length(max=60)],
    )
    sealed = HiddenField()


class JoinWithFactorForm(_Seed, JoinForm):
    """A new omniadmin's password and second factor."""


class EnrolWithFactorForm(_Seed, EnrolForm):
    """A known omniadmin's new second factor."""


class AccountForm(FlaskForm):
    """What one may choose oneself."""

    time_zone = TimeZoneField("Time zone", description="Times on pages and in mails are shown in this zone.")
    submit = SubmitField("Save")


class ChangePasswordForm(FlaskForm):
    """The present password and a new one."""

    present = PasswordField(
        "Present password", validators=[DataRequired("Type your present password."), Length(max=LONGEST)]
    )
    password = PasswordField(
        "New password",
        description=f"{SHORTEST} characters or more; a sentence is good.",
        validators=[DataRequired("Choose a password."), Length(min=SHORTEST, max=LONGEST)],
    )
    password_again = PasswordField(
        "New password again", validators=[EqualTo("password", "The two passwords are not the same.")]
    )


class ProveForm(FlaskForm):
    """The existing second factor, before something about it changes."""

    code = StringField(
        "Authentication code",
        description="Six digits from your authenticator, or one of your recovery codes.",
        validators=[DataRequired("Type the code that your authenticator shows."), Length(max=60)],
    )


class ChangePasswordWithFactorForm(ProveForm, ChangePasswordForm):
    """The same for whoever has a second factor."""


class _NewDevice:
    """What proves that the new device has read the picture; the seed travels sealed (S02)."""

    new_code = StringField(
        "Code of the new device",
        description="Six digits, from the device that has just read the picture.",
        validators=[DataRequired("Type the code that the new device shows."), Length(max=60)],
    )
    sealed = HiddenField()


class AddFactorForm(_NewDevice, FlaskForm):
    """A first second factor: the password is asked."""

    password = PasswordField("Your password", validators=[DataRequired("Type your password."), Length(max=LONGEST)])


class ChangeFactorForm(_NewDevice, ProveForm):
    """A new device in the place of the present one, whose code is asked."""
