"""Pages of on-demand access on the default instance: ask, follow, send again, cancel, end. Views only translate."""

from __future__ import annotations

from datetime import timedelta

import structlog
from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import DataRequired, Length

from instances.models import VirtualInstance
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db, is_outage
from tempadmin.errors import Invalid, NotFound, RateLimited
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tempadmin.web.fields import SelectChoice
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import fetch_page
from tempadmin.web.targets import Target, targets
from tickets import confirm, policy, queries, story
from tickets.end import end_access
from tickets.presenting import PUBLIC_ID, page_of, row_of, stale_buttons_explained
from tickets.provision import provision
from tickets.request import AlreadyOpen, request_access, target_of
from tickets.states import EndReason

blueprint = Blueprint("console", __name__)
log = structlog.get_logger()

TABS = {"mine": "Mine", "all": "All", "attention": "Needs attention"}


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


def init_app(app: Flask) -> None:
    """Add the pages, their place in the bar, and what may wait behind a sign-in."""
    app.register_blueprint(blueprint)
    description = "Your requests, everybody's, and what needs attention."
    items(app).append(Item(label="Access", endpoint="console.list_access", description=description, order=20))
    targets(app)["console.show"] = Target(
        endpoint="console.show", parameters={"public_id": PUBLIC_ID}, name=lambda _parameters: "your access request"
    )


@blueprint.route("/instances/<web_id>/request-access", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def ask(web_id: str) -> str | Response | tuple[str, int, dict[str, str]]:
    """Ask for access to an instance."""
    runtime, person = current_runtime(), login.person()
    target = db.session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == web_id)).one_or_none()
    if target is None:
        raise NotFound("There is no such instance.")
    policy.refuse_target(target_of(target))
    settings = runtime.settings
    longest = policy.longest_duration(everywhere=settings.max_duration, here=target_of(target).longest)
    default = min(settings.default_duration, longest)
    form = RequestForm()
    refused: tuple[int, dict[str, str]] = (400, {})
    offered = policy.durations_offered(default=default, longest=longest)
    form.duration.choices = [SelectChoice(str(int(offer.total_seconds())), words.duration(offer)) for offer in offered]
    if not form.is_submitted():
        form.duration.data = int(default.total_seconds())
    if form.validate_on_submit():
        try:
            asked = request_access(
                requester_id=person.id,
                web_id=web_id,
                reason=form.reason.data or "",
                external_ticket=form.external_ticket.data,
                duration=timedelta(seconds=form.duration.data),
                runtime=runtime,
            )
        except AlreadyOpen as error:
            flash(error.message, "info")
            return redirect(url_for("console.show", public_id=error.public_id), 303)
        except Invalid as error:
            getattr(form, error.field or "reason").errors = [error.message]
        except RateLimited as error:
            form.form_errors.append(error.message)
            refused = (429, {"Retry-After": str(error.retry_after)})
        else:
            _provision_quietly(asked.id)
            return redirect(url_for("console.show", public_id=asked.public_id), 303)
    present = queries.open_of(requester_id=login.person().id, instance_id=target.id)
    open_request = None
    if present is not None:
        sentence = f"You have an open request here: {story.state_words(present, mine=True)[0]}."
        open_request = {"url": url_for("console.show", public_id=present.public_id), "sentence": sentence}
    page = render_template("tickets/request_access.html", target=target, form=form, open_request=open_request)
    return (page, *refused) if form.is_submitted() else page


@blueprint.get("/access")
@allow(OMNIADMIN, place="console")
def list_access() -> str:
    """List requests: mine, all, or those that need attention."""
    tab = request.args.get("tab", "mine")
    tab = tab if tab in TABS else "mine"
    now, person_id = current_runtime().now(), login.person().id
    query = queries.newest_first(
        requester_id=person_id if tab == "mine" else None, attention_at=now if tab == "attention" else None
    )
    found, page = fetch_page(db.session, query)
    tabs = [
        {"label": label, "url": url_for("console.list_access", tab=name), "current": name == tab, "count": None}
        for name, label in TABS.items()
    ]
    rows = [row_of(one, person_id) for (one,) in found]
    return render_template("tickets/access_list.html", tab=tab, tabs=tabs, rows=rows, page=page)


@blueprint.get("/access/<public_id>")
@allow(OMNIADMIN, place="console")
def show(public_id: str) -> str:
    """Tell a request as a time line."""
    return render_template("tickets/access.html", **page_of(queries.by_public_id(public_id)))


@blueprint.post("/access/<public_id>/send-again")
@allow(OMNIADMIN, place="console")
def send_again(public_id: str) -> Response:
    """Mail a new confirmation link."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        confirm.send_again(request_id=found.id, user_id=login.person().id, runtime=current_runtime())
    flash("A new link is on its way; the old one is worthless now.", "success")
    return _to(public_id)


@blueprint.post("/access/<public_id>/cancel")
@allow(OMNIADMIN, place="console")
def cancel(public_id: str) -> Response:
    """Cancel one's own request before anybody is inside."""
    found = queries.by_public_id(public_id)
    if found.requester_id != login.person().id:
        abort(404)
    with stale_buttons_explained(found):
        end_access(request_id=found.id, reason=EndReason.CANCELLED, actor=login.actor(), runtime=current_runtime())
    return _to(public_id)


@blueprint.post("/access/<public_id>/end")
@allow(OMNIADMIN, place="console")
def end(public_id: str) -> Response:
    """End an access: one's own, or as another omniadmin."""
    found = queries.by_public_id(public_id)
    mine = found.requester_id == login.person().id
    reason = EndReason.ENDED_BY_REQUESTER if mine else EndReason.ENDED_BY_OMNIADMIN
    with stale_buttons_explained(found):
        end_access(request_id=found.id, reason=reason, actor=login.actor(), runtime=current_runtime())
    return _to(public_id)


def _provision_quietly(request_id: int) -> None:
    """The request stands, whatever happens to the database now; the job goes on with it."""
    try:
        provision(request_id=request_id, runtime=current_runtime())
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        db.session.rollback()
        log.warning("provisioning.not_tried", request_id=request_id, error=type(error).__name__)


def _to(public_id: str) -> Response:
    return redirect(url_for("console.show", public_id=public_id), 303)
