"""The two forms on the default instance that ask: for admin access, and to see what one user sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from instances.models import VirtualInstance
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid, NotFound, RateLimited
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tempadmin.web.fields import SelectChoice
from tempadmin.web.guard import allow
from tickets import answers, asking, entries, policy, queries, story, ways_in
from tickets.at_once import NotMadeError
from tickets.impersonate import refuse_unless_embedded, request_impersonation
from tickets.models import IMPERSONATION, TEMPORARY_ADMIN
from tickets.provision import provision_quietly
from tickets.request import request_access

blueprint = Blueprint("asking", __name__)

Answer = str | Response | tuple[str, int, dict[str, str]]


class RequestForm(FlaskForm):
    """What an omniadmin says when asking for access."""

    reason = TextAreaField(
        "Reason",
        description="The customer reads this. Say what you want to do, in 10 to 2,000 characters.",
        validators=[DataRequired("Give a reason.")],
    )
    external_ticket = StringField(
        "External ticket",
        description="Optional: the number of the case that this belongs to.",
        validators=[Length(max=policy.LONGEST_EXTERNAL_TICKET)],
    )
    duration = SelectField("Duration", description="Counts from the moment when you sign in there.", coerce=int)
    submit = SubmitField("Request access")


class ImpersonationForm(FlaskForm):
    """What a support member says who wants to see what a user sees."""

    email = EmailField(
        "User's e-mail",
        description="Exactly as the user told you: nobody's people are listed here. They decide, and nobody else.",
        validators=[DataRequired("Give the user's e-mail address."), Length(max=254)],
    )
    reason = TextAreaField(
        "Reason",
        description="The user reads this before they answer. 10 to 2,000 characters.",
        validators=[DataRequired("Give a reason.")],
    )
    duration = SelectField("Duration", description="Counts from the moment when you enter.", coerce=int)
    submit = SubmitField("Request impersonation")


@blueprint.route("/instances/<web_id>/request-access", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def ask(web_id: str) -> Answer:
    """Ask for access to an instance."""
    form = RequestForm()

    def send() -> asking.Asked:
        send_it = partial(
            request_access,
            requester_id=login.person().id,
            web_id=web_id,
            reason=form.reason.data or "",
            external_ticket=form.external_ticket.data,
            duration=timedelta(seconds=form.duration.data),
            runtime=current_runtime(),
        )
        try:
            return send_it(at_once=True)
        except NotMadeError:
            return send_it()  # the request stands all the same; what is wrong is noted with the next try

    return _answer(web_id, form, send, kind=TEMPORARY_ADMIN, template="tickets/request_access.html")


@blueprint.route("/instances/<web_id>/request-impersonation", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def impersonate(web_id: str) -> Answer:
    """Ask a user for consent to see what they see."""
    form = ImpersonationForm()

    def send() -> asking.Asked:
        return request_impersonation(
            requester_id=login.person().id,
            web_id=web_id,
            email=form.email.data or "",
            reason=form.reason.data or "",
            duration=timedelta(seconds=form.duration.data),
            runtime=current_runtime(),
        )

    return _answer(web_id, form, send, kind=IMPERSONATION, template="tickets/request_impersonation.html")


def _answer(web_id: str, form: FlaskForm, send: Callable[[], asking.Asked], *, kind: str, template: str) -> Answer:
    """Show a form, or send it; what was typed stays where it cannot be taken."""
    runtime = current_runtime()
    target = _target(web_id)
    policy.refuse_target(asking.target_of(target))
    offer_durations(form, longest=asking.longest_of(target, runtime), default=runtime.settings.default_duration)
    refused: tuple[int, dict[str, str]] = (400, {})
    if form.validate_on_submit():
        try:
            asked = send()
        except asking.AlreadyOpen as error:
            flash(error.message, "info")
            return redirect(url_for("console.show", public_id=error.public_id), 303)
        except Invalid as error:
            form[error.field if error.field in form else "reason"].errors = [error.message]
        except RateLimited as error:
            form.form_errors.append(error.message)
            refused = (429, {"Retry-After": str(error.retry_after)})
        except Conflict as error:
            form.form_errors.append(error.message)
            refused = (409, {})
        else:
            if not asked.pending and not asked.made:
                provision_quietly(request_id=asked.id, runtime=runtime)
            return redirect(url_for("console.show", public_id=asked.public_id), 303)
        target = _target(web_id)  # what was refused was rolled back, and what was read before it forgotten
    context: dict[str, Any] = {"target": target, "form": form, "open_request": None, **_way_in(target, kind)}
    present = queries.open_of(requester_id=login.person().id, instance_id=target.id, kind=kind)
    if present is not None:
        sentence = f"You have an open request here: {story.state_words(present, mine=True)[0]}."
        context["open_request"] = {"url": url_for("console.show", public_id=present.public_id), "sentence": sentence}
    context["asks"] = answers.sides_words(asking.sides_needed(target, runtime), target.name)
    page = render_template(template, **context)
    return (page, *refused) if form.is_submitted() else page


def _target(web_id: str) -> VirtualInstance:
    found = db.session.scalars(asking.BY_WEB_ID, {"web_id": web_id}).one_or_none()
    if found is None:
        raise NotFound("There is no such instance.")
    return found


def _way_in(target: VirtualInstance, kind: str) -> dict[str, str]:
    """Return what somebody who asks will get, or why there is nothing to ask for: before they have typed anything."""
    try:
        if kind == IMPERSONATION:
            refuse_unless_embedded(target)
            return {"way_in": "", "refusal": ""}
        return {"way_in": ways_in.promise(entries.entry_of(target), target.name), "refusal": ""}
    except Conflict as refusal:
        return {"way_in": "", "refusal": refusal.message}


def offer_durations(form: FlaskForm, *, longest: timedelta, default: timedelta) -> None:
    """Fill a form's duration field with what may be asked for."""
    default = min(default, longest)
    offered = policy.durations_offered(default=default, longest=longest)
    form.duration.choices = [SelectChoice(str(int(offer.total_seconds())), words.duration(offer)) for offer in offered]
    if not form.is_submitted():
        form.duration.data = int(default.total_seconds())
