"""Where omniadmins decide about a colleague's request, start their own, and ask for more time. Views only translate."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import current_runtime
from tempadmin.web.guard import allow
from tickets import approve, asking, extend, more_time, queries
from tickets.console_ask import offer_durations
from tickets.presenting import access_of, stale_buttons_explained
from tickets.provision import provision_quietly
from tickets.start import start

blueprint = Blueprint("deciding", __name__)


class ExtendForm(FlaskForm):
    """More time, with a new reason and a fresh second factor."""

    reason = TextAreaField(
        "Reason",
        description="Why the time was too short. Whoever must say yes reads this.",
        validators=[DataRequired("Give a reason.")],
    )
    duration = SelectField("More time", description="Added to the present end. Possible once.", coerce=int)
    code = StringField(
        "Authentication code",
        description="Six digits from your authenticator.",
        validators=[DataRequired("Type the code that your authenticator shows now."), Length(max=60)],
    )
    submit = SubmitField("Ask for more time")


@blueprint.post("/access/<public_id>/start")
@allow(OMNIADMIN, place="console")
def start_approved(public_id: str) -> Response:
    """Start one's own approved request."""
    found = queries.by_public_id(public_id)
    request_id = found.id
    with stale_buttons_explained(found):
        start(request_id=request_id, user_id=login.person().id, runtime=current_runtime())
    provision_quietly(request_id=request_id, runtime=current_runtime())
    return _to(public_id)


@blueprint.post("/access/<public_id>/approve")
@allow(OMNIADMIN, place="console")
def say_yes(public_id: str) -> Response:
    """Approve a colleague's request."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        approve.approve(request_id=found.id, acting=_acting(), note=_note(), runtime=current_runtime())
    flash("You approved this request.", "success")
    return _to(public_id)


@blueprint.post("/access/<public_id>/reject")
@allow(OMNIADMIN, place="console")
def say_no(public_id: str) -> Response:
    """Reject a colleague's request."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        approve.reject(request_id=found.id, acting=_acting(), note=_note(), runtime=current_runtime())
    flash("You rejected this request; it is over.", "success")
    return _to(public_id)


@blueprint.route("/access/<public_id>/extend", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def ask_for_more(public_id: str) -> str | Response | tuple[str, int]:
    """Ask for more time in one's own active access."""
    runtime, person_id = current_runtime(), login.person().id
    found = queries.own_by_public_id(public_id, requester_id=person_id)
    if queries.extension_of(found) is not None:
        raise Conflict("More time was asked for already; that is possible once.", next_url=_page(public_id))
    instance = db.session.get_one(VirtualInstance, found.instance_id)
    most = more_time.most_addable(found, longest=asking.longest_of(instance, runtime))
    if most < timedelta(minutes=1):
        raise Conflict("This access cannot be extended: it has the longest time already.", next_url=_page(public_id))
    form = ExtendForm()
    offer_durations(form, longest=most, default=timedelta(minutes=30))
    if form.validate_on_submit():
        try:
            granted = extend.extend(
                request_id=found.id,
                user_id=person_id,
                reason=form.reason.data or "",
                added=timedelta(seconds=form.duration.data),
                answer=form.code.data or "",
                runtime=runtime,
            )
        except Invalid as error:
            form[error.field if error.field in form else "code"].errors = [error.message]
        else:
            flash("You have more time." if granted else "Asked; the access goes on as before until then.", "success")
            return redirect(_page(public_id), 303)
    found = queries.by_public_id(public_id)
    page = render_template("tickets/extend.html", access=access_of(found), ends_at=found.ends_at, form=form)
    return page, 400 if form.is_submitted() else 200


@blueprint.post("/access/<public_id>/extension/<int:extension_id>/approve")
@allow(OMNIADMIN, place="console")
def say_yes_to_more_time(public_id: str, extension_id: int) -> Response:
    """Approve more time for a colleague."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        extend.approve_extension(
            request_id=found.id, extension_id=extension_id, acting=_acting(), note=_note(), runtime=current_runtime()
        )
    flash("You approved more time.", "success")
    return _to(public_id)


@blueprint.post("/access/<public_id>/extension/<int:extension_id>/reject")
@allow(OMNIADMIN, place="console")
def say_no_to_more_time(public_id: str, extension_id: int) -> Response:
    """Reject more time for a colleague."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        extend.reject_extension(
            request_id=found.id, extension_id=extension_id, acting=_acting(), note=_note(), runtime=current_runtime()
        )
    flash("You refused more time; the access goes on to its own end.", "success")
    return _to(public_id)


def _acting() -> Acting:
    person = login.person()
    return Acting(user_id=person.id, instance_id=person.instance_id, actor=login.actor(), request_id=None)


def _note() -> str | None:
    return request.form.get("note")


def _page(public_id: str) -> str:
    return url_for("console.show", public_id=public_id)


def _to(public_id: str) -> Response:
    return redirect(_page(public_id), 303)
