"""An instance's own control panel: its people and its settings. Views only translate."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from sqlalchemy import Integer, bindparam
from werkzeug.wrappers import Response
from wtforms import EmailField, SelectField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from instances import directory, inviting, queries
from instances.acting import acting_now
from instances.models import VirtualInstance
from instances.preferences import change_preferences
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid, NotFound, RateLimited
from tempadmin.runtime import current_runtime
from tempadmin.web.context import current_instance
from tempadmin.web.deeds import tell_deed
from tempadmin.web.fields import SelectChoice, TimeZoneField
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages, search_text

blueprint = Blueprint("panel", __name__)

ROLE_CHOICES = [SelectChoice(MEMBER), SelectChoice(ADMINISTRATOR)]


class InviteForm(FlaskForm):
    """A new person."""

    full_name = StringField("Full name", validators=[DataRequired("Give the person's name."), Length(max=200)])
    email = EmailField("E-mail", validators=[DataRequired("Give an e-mail address."), Length(max=254)])
    role = SelectField("Role", choices=ROLE_CHOICES, description="Administrators manage people and settings here.")
    submit = SubmitField("Send invitation")


class UserForm(FlaskForm):
    """What can be changed about a person."""

    full_name = StringField("Full name", validators=[DataRequired("Give the person's name."), Length(max=200)])
    role = SelectField("Role", choices=ROLE_CHOICES)
    submit = SubmitField("Save")


class SettingsForm(FlaskForm):
    """What can be changed about the instance."""

    name = StringField("Name", validators=[DataRequired("Give the instance a name."), Length(max=200)])
    time_zone = TimeZoneField("Time zone", description="For people who chose none of their own.")
    submit = SubmitField("Save")


def _found(search: str) -> Pages[User]:
    """Return an instance's people who are found by a text; where there is none, their statements are built once."""
    query = queries.people(instance_id=bindparam("instance", type_=Integer), search=search)
    return Pages(query, User.full_name, User.id)


EVERYBODY = _found("")


def init_app(app: Flask) -> None:
    """Add the pages and their places in the bar."""
    app.register_blueprint(blueprint)
    items(app).extend(
        [
            Item(label="Users", endpoint="panel.list_users", order=10, description="The people of this instance."),
            Item(label="Settings", endpoint="panel.settings", order=20, description="Name and time zone."),
        ]
    )


@blueprint.get("/users")
@allow(ADMINISTRATOR, place="customer", support=True)
def list_users() -> str:
    """List the instance's people."""
    search, acting = search_text(), acting_now()
    found, page = (_found(search) if search else EVERYBODY).fetch({"instance": acting.instance_id})
    return render_template(
        "instances/users.html",
        q=search,
        people=[_person_row(row, acting) for row in found],
        page=page,
        invite_url=url_for("panel.invite"),
    )


@blueprint.route("/users/invite", methods=["GET", "POST"])
@allow(ADMINISTRATOR, place="customer", support=True)
def invite() -> str | Response | tuple[str, int, dict[str, str]]:
    """Invite a new person."""
    form = InviteForm()
    refused: tuple[int, dict[str, str]] = (400, {})
    if form.validate_on_submit():
        try:
            inviting.invite(
                acting=acting_now(),
                email=form.email.data or "",
                full_name=form.full_name.data or "",
                role=form.role.data,
                runtime=current_runtime(),
            )
        except Invalid as error:
            _show(error, form, otherwise="email")
        except Conflict as error:
            _show(error, form, otherwise="email")
        except RateLimited as error:
            form.form_errors.append(error.message)
            refused = 429, {"Retry-After": str(error.retry_after)}
        else:
            tell_deed(f"Invited {form.full_name.data}")
            flash(f"{form.full_name.data} is invited; the mail is on its way.", "success")
            return redirect(url_for("panel.list_users"), 303)
    page = render_template("instances/invite.html", form=form)
    return (page, *refused) if form.is_submitted() else page


@blueprint.route("/users/<int:user_id>", methods=["GET", "POST"])
@allow(ADMINISTRATOR, place="customer", support=True)
def edit_user(user_id: int) -> str | Response | tuple[str, int]:
    """Show one person, and change what can be changed."""
    user, acting = _find_user(user_id), acting_now()
    form = UserForm(obj=user)
    in_support = acting.request_id is not None
    if in_support:
        del form.role
    if form.validate_on_submit():
        try:
            directory.edit(
                acting=acting,
                user_id=user_id,
                full_name=form.full_name.data or "",
                role=None if in_support else form.role.data,
                runtime=current_runtime(),
            )
        except Invalid as error:
            _show(error, form, otherwise="full_name")
        else:
            tell_deed(f"Changed {form.full_name.data}")
            flash("Saved.", "success")
            return redirect(url_for("panel.list_users"), 303)
        user = _find_user(user_id)
    locked = ["The e-mail address cannot be changed here."]
    if in_support:
        locked = ["Role, e-mail address, password and second factor cannot be changed in a support session."]
    myself = user.id == acting.user_id
    if myself:
        locked.append("You cannot deactivate yourself. Another administrator can.")
    page = render_template(
        "instances/user.html",
        user=user,
        form=form,
        locked=locked,
        deactivate_url=url_for("panel.deactivate", user_id=user.id) if user.active and not myself else None,
        invite_again_url=url_for("panel.invite_again", user_id=user.id)
        if inviting.can_be_invited_again(user)
        else None,
        activate_url=None if user.active else url_for("panel.activate", user_id=user.id),
    )
    return page, 400 if form.is_submitted() else 200


@blueprint.post("/users/<int:user_id>/invite-again")
@allow(ADMINISTRATOR, place="customer", support=True)
def invite_again(user_id: int) -> Response:
    """Send a new invitation to somebody who never chose a password."""
    inviting.invite_again(acting=acting_now(), user_id=user_id, runtime=current_runtime())
    tell_deed(f"Sent the invitation of {_find_user(user_id).full_name} again")
    flash("A new invitation is on its way; the former link is worthless now.", "success")
    return redirect(url_for("panel.edit_user", user_id=user_id), 303)


@blueprint.post("/users/<int:user_id>/deactivate")
@allow(ADMINISTRATOR, place="customer", support=True)
def deactivate(user_id: int) -> Response:
    """Keep a person out."""
    tell_deed(f"Deactivated {_find_user(user_id).full_name}")
    directory.deactivate(acting=acting_now(), user_id=user_id, runtime=current_runtime())
    flash("Deactivated; their sessions ended.", "success")
    return redirect(url_for("panel.list_users"), 303)


@blueprint.post("/users/<int:user_id>/activate")
@allow(ADMINISTRATOR, place="customer", support=True)
def activate(user_id: int) -> Response:
    """Let a person in again."""
    tell_deed(f"Let {_find_user(user_id).full_name} in again")
    directory.activate(acting=acting_now(), user_id=user_id, runtime=current_runtime())
    flash("Activated.", "success")
    return redirect(url_for("panel.list_users"), 303)


@blueprint.route("/settings", methods=["GET", "POST"])
@allow(ADMINISTRATOR, place="customer", support=True)
def settings() -> str | Response | tuple[str, int]:
    """Show and change the instance's own settings."""
    acting = acting_now()
    row = db.session.get_one(VirtualInstance, acting.instance_id)
    form = SettingsForm(name=row.name, time_zone=row.time_zone or "")
    if form.validate_on_submit():
        try:
            change_preferences(
                acting=acting, name=form.name.data or "", time_zone=form.time_zone.data, runtime=current_runtime()
            )
        except Invalid as error:
            _show(error, form, otherwise="name")
        else:
            flash("Saved.", "success")
            return redirect(url_for("panel.settings"), 303)
    facts = [("Web id", current_instance().web_id), ("Address", current_instance().url)]
    page = render_template("instances/settings.html", form=form, facts=facts)
    return page, 400 if form.is_submitted() else 200


def _show(error: Invalid | Conflict, form: FlaskForm, *, otherwise: str) -> None:
    """Put an error beside the field that it speaks of, or beside another one when the form has no such field."""
    named = error.field if isinstance(error, Invalid) else None
    field = form[named if named in form else otherwise]
    field.errors = [error.message]


def _find_user(user_id: int) -> User:
    query = queries.visible(instance_id=current_instance().id).where(User.id == user_id)
    user = db.session.scalars(query).one_or_none()
    if user is None:
        raise NotFound("There is no such person here.")
    return user


def _person_row(user: User, acting: directory.Acting) -> dict[str, Any]:
    status, tone = ("active", "good") if user.active else ("deactivated", "quiet")
    if user.active and user.password_hash is None:
        here = user.made_in_request_id is not None and user.made_in_request_id == acting.request_id
        status, tone = ("invited in this session" if here else "invited"), "wait"
    elif acting.request_id is None and (user.unvouched or user.changed_in_request_id is not None):
        status, tone = ("made by support" if user.unvouched else "changed by support"), "wait"
    return {
        "full_name": user.full_name,
        "email": user.email,
        "role": user.role,
        "status": status,
        "tone": tone,
        "edit_url": url_for("panel.edit_user", user_id=user.id),
    }
