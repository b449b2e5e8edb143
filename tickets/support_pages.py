"""*Support access* on a customer's host: who is inside and does what, who asks, who was there, and the policy.

Everybody sees here what concerns them: administrators every access, others those that were to see the instance as
they do. A support session may look, for it sees what its account sees; it changes nothing here (S25).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import BooleanField, SelectField, SubmitField

from instances.acting import acting_now
from instances.models import VirtualInstance
from instances.vouching import vouch
from tempadmin.accounts import login
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tempadmin.web.deeds import tell_deed
from tempadmin.web.fields import SelectChoice
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages
from tickets import approve, asking, extend, policy, retention, support_view, watching
from tickets import export as exports
from tickets.change_policy import change_policy
from tickets.end import end_access
from tickets.models import AccessRequest, Activity
from tickets.presenting import stale_buttons_explained
from tickets.states import EndReason

blueprint = Blueprint("support", __name__)

EVERYBODY = (MEMBER, ADMINISTRATOR)
FORMS = ("csv", "json")


class PolicyForm(FlaskForm):
    """What the customer decides about support access."""

    require_customer = BooleanField("Ask us first")
    longest = SelectField("Longest access", coerce=int)
    submit = SubmitField("Save")


def init_app(app: Flask) -> None:
    """Add the pages and their place in the bar."""
    app.register_blueprint(blueprint)
    description = "Who from your provider was here, who is here, and who may come."
    items(app).append(Item(label="Support access", endpoint="support.overview", description=description, order=30))


@blueprint.get("/support-access")
@allow(*EVERYBODY, place="customer", support=True)
def overview() -> str:
    """Show now, may I, before, in this order."""
    return _overview(None)


@blueprint.get("/support-access/live")
@allow(*EVERYBODY, place="customer", support=True, quiet=True)
def live() -> str:
    """Show the part that changes by itself; the session is judged anew each time."""
    context = support_view.now_and_pending(login.person(), may_act=_may_act())
    return render_template("tickets/_support_now.html", **context)


@blueprint.get("/support-access/<public_id>")
@allow(*EVERYBODY, place="customer", support=True)
def show(public_id: str) -> str:
    """Show the whole record of one access."""
    told = support_view.one(public_id, login.person())
    rows, page = Pages(watching.activity_of(told.request), Activity.id, descending=True).fetch()
    activity = [support_view.activity_row(row) for row in rows]
    context = support_view.record_of(told, may_act=_may_act())
    archived = retention.archived(told.request) if page.next_url is None else None
    return render_template("tickets/support_record.html", **context, activity=activity, page=page, archived=archived)


@blueprint.get("/support-access/export.<form>")
@allow(*EVERYBODY, place="customer", support=True)
def export(form: str) -> Response:
    """Stream the history of every access that concerns the reader, as CSV or JSON."""
    if form not in FORMS:
        abort(404)
    tell_deed("Exported the history of support access")
    return exports.accesses(watching.theirs(login.person()), form=form)


@blueprint.get("/support-access/<public_id>/activity.<form>")
@allow(*EVERYBODY, place="customer", support=True)
def export_activity(public_id: str, form: str) -> Response:
    """Stream everything that was done in one access, as CSV or JSON."""
    if form not in FORMS:
        abort(404)
    tell_deed("Exported what was done in one access")
    return exports.activity(watching.one(public_id, person=login.person()).request, form=form)


@blueprint.post("/support-access/<public_id>/approve")
@allow(*EVERYBODY, place="customer")
def say_yes(public_id: str) -> Response:
    """Say yes, for the customer or for oneself."""
    found = watching.one(public_id, person=login.person()).request
    who = found.requester_name
    with _stale_explained(found):
        approve.approve(request_id=found.id, acting=acting_now(), note=_note(), runtime=current_runtime())
    flash(f"You approved it; {who} is told and can start.", "success")
    return _back()


@blueprint.post("/support-access/<public_id>/reject")
@allow(*EVERYBODY, place="customer")
def say_no(public_id: str) -> Response:
    """Say no, for the customer or for oneself."""
    found = watching.one(public_id, person=login.person()).request
    who = found.requester_name
    with _stale_explained(found):
        approve.reject(request_id=found.id, acting=acting_now(), note=_note(), runtime=current_runtime())
    flash(f"You rejected it; {who} is told, and nothing happens.", "success")
    return _back()


@blueprint.post("/support-access/<public_id>/extension/<int:extension_id>/approve")
@allow(*EVERYBODY, place="customer")
def say_yes_to_more_time(public_id: str, extension_id: int) -> Response:
    """Say yes to more time."""
    found = watching.one(public_id, person=login.person()).request
    with _stale_explained(found):
        extend.approve_extension(
            request_id=found.id, extension_id=extension_id, acting=acting_now(), note=_note(), runtime=current_runtime()
        )
    flash("You approved more time.", "success")
    return _back()


@blueprint.post("/support-access/<public_id>/extension/<int:extension_id>/reject")
@allow(*EVERYBODY, place="customer")
def say_no_to_more_time(public_id: str, extension_id: int) -> Response:
    """Say no to more time."""
    found = watching.one(public_id, person=login.person()).request
    with _stale_explained(found):
        extend.reject_extension(
            request_id=found.id, extension_id=extension_id, acting=acting_now(), note=_note(), runtime=current_runtime()
        )
    flash("You refused more time; the access goes on to its own end.", "success")
    return _back()


@blueprint.post("/support-access/<public_id>/end")
@allow(*EVERYBODY, place="customer")
def end(public_id: str) -> Response:
    """End an access: from the commit on nothing of it works (P3)."""
    person = login.person()
    found = watching.one(public_id, person=person).request
    reason = EndReason.ENDED_BY_SUBJECT if found.subject_id == person.id else EndReason.ENDED_BY_CUSTOMER
    who = found.requester_name
    with _stale_explained(found):
        end_access(request_id=found.id, reason=reason, actor=login.actor(), runtime=current_runtime())
    flash(f"The access of {who} is over.", "success")
    return _back()


@blueprint.post("/support-access/policy")
@allow(ADMINISTRATOR, place="customer")
def set_policy() -> Response | tuple[str, int]:
    """Change the customer's own policy."""
    form = _policy_form(db.session.get_one(VirtualInstance, login.person().instance_id))
    if not form.validate_on_submit():
        return _overview(form), 400
    longest = timedelta(seconds=form.longest.data) if form.longest.data else None
    ended = change_policy(
        acting=acting_now(), require_customer=form.require_customer.data, longest=longest, runtime=current_runtime()
    )
    flash("Saved." if not ended else f"Saved. {ended} open access{'es' if ended > 1 else ''} ended by that.", "success")
    return _back()


@blueprint.post("/support-access/accounts/<int:user_id>/vouch")
@allow(ADMINISTRATOR, place="customer")
def vouch_for(user_id: int) -> Response:
    """Vouch for an account that a support session made or changed."""
    vouch(acting=acting_now(), user_id=user_id, runtime=current_runtime())
    flash("The mark is taken off; the record stays.", "success")
    return _back()


def _overview(form: FlaskForm | None) -> str:
    person = login.person()
    past, page = support_view.open_and_past(person)
    context = support_view.now_and_pending(person, may_act=_may_act())
    if person.role == ADMINISTRATOR:
        instance, marked = watching.instance_with_marked(person.instance_id)
        context["accounts"] = support_view.accounts(marked, person, may_act=_may_act())
        context["policy_form"] = (form or _policy_form(instance)) if _may_act() else None
    return render_template(
        "tickets/support_access.html",
        **{"accounts": [], "policy_form": None, **context},
        history=[support_view.history_row(one.request) for one in past],
        page=page,
        powerless=person.unvouched and not in_support(),
        asked_anyway=current_runtime().settings.require_customer,
    )


def _policy_form(instance: VirtualInstance) -> PolicyForm:
    everywhere = current_runtime().settings.max_duration
    form = PolicyForm(require_customer=instance.require_customer, longest=instance.max_duration_seconds or 0)
    present = asking.longest_of(instance, current_runtime())
    offered = sorted({offer for offer in policy.OFFERED if offer < everywhere} | ({present} - {everywhere}))
    form.longest.choices = [
        SelectChoice("0", f"{words.duration(everywhere)} (your provider's own maximum)"),
        *(SelectChoice(str(int(offer.total_seconds())), words.duration(offer)) for offer in offered),
    ]
    return form


def _may_act() -> bool:
    """Tell whether the buttons are shown; the use cases judge for themselves."""
    return not in_support() and not login.person().unvouched


def in_support() -> bool:
    """Tell whether this is a support session, which looks and changes nothing (S25)."""
    session = login.acting_session()
    return session is None or session.is_support


def _stale_explained(found: AccessRequest) -> AbstractContextManager[None]:
    return stale_buttons_explained(found, page="support.show")


def _note() -> str | None:
    return request.form.get("note")


def _back() -> Response:
    return redirect(url_for("support.overview"), 303)
