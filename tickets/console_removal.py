"""Where omniadmins see to removals that do not go through. Views only translate."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import SubmitField, TextAreaField
from wtforms.validators import DataRequired

from instances.directory import Acting
from scheduler.sections import Section, sections
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import current_runtime
from tempadmin.web.guard import allow
from tickets import by_hand, queries
from tickets.models import AccessRequest
from tickets.presenting import access_of, stale_buttons_explained
from tickets.states import State

blueprint = Blueprint("removing", __name__)

SHOWN = 20


class ByHandForm(FlaskForm):
    """How somebody removed an account themselves."""

    reason = TextAreaField(
        "Reason",
        description="How you removed it, and why that was needed. It is kept in the record.",
        validators=[DataRequired("Give a reason.")],
    )
    submit = SubmitField("Record as removed")


def init_app(app: Flask) -> None:
    """Add the pages, and what needs attention to the page *Jobs*."""
    app.register_blueprint(blueprint)
    sections(app).append(Section(template="tickets/_stuck.html", values=stuck))


@blueprint.post("/access/<public_id>/retry-removal")
@allow(OMNIADMIN, place="console")
def retry(public_id: str) -> Response:
    """Try a removal now; the answer waits for the directory."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        gone = by_hand.retry_removal(request_id=found.id, acting=_acting(), runtime=current_runtime())
    if gone:
        flash("The account is gone, and was read back as gone.", "success")
    else:
        flash("It is not known to be gone yet. It is tried again by itself.", "warning")
    return redirect(url_for("console.show", public_id=public_id), 303)


@blueprint.route("/access/<public_id>/removed-by-hand", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def removed_by_hand(public_id: str) -> str | Response | tuple[str, int]:
    """Say that one removed the account by hand."""
    found = queries.by_public_id(public_id)
    page = url_for("console.show", public_id=public_id)
    if found.state != State.ENDING:
        raise Conflict(by_hand.OVER if found.state == State.ENDED else by_hand.NOT_YET, next_url=page)
    form = ByHandForm()
    if form.validate_on_submit():
        try:
            with stale_buttons_explained(found):
                gone = by_hand.say_removed(
                    request_id=found.id, acting=_acting(), reason=form.reason.data or "", runtime=current_runtime()
                )
        except Invalid as error:
            form.reason.errors = [error.message]
        else:
            verified = "The directory confirms that the account is gone."
            flash(verified if gone else "Kept. The directory is asked again until it answers.", "success")
            return redirect(page, 303)
    told = access_of(queries.by_public_id(public_id))
    html = render_template("tickets/removed_by_hand.html", access=told, form=form)
    return html, 400 if form.is_submitted() else 200


def stuck() -> dict[str, Any] | None:
    """Return the removals that need attention, as the page *Jobs* lists them; ``None`` where there are none."""
    now = current_runtime().now()
    cases = db.session.scalars(queries.newest_first(attention_at=now).limit(SHOWN)).all()
    total = db.session.scalar(select(func.count()).where(queries.stuck(now))) if len(cases) == SHOWN else len(cases)
    return {"rows": [_row(one) for one in cases], "more": (total or 0) - len(cases)} if cases else None


def _row(one: AccessRequest) -> dict[str, Any]:
    return {
        "url": url_for("console.show", public_id=one.public_id),
        "account_name": one.account_name,
        "instance_name": one.instance_name,
        "since": one.ending_at,
        "failures": one.removal_failures,
        "error": one.last_error,
        "next_at": one.next_attempt_at,
        "retry_url": url_for("removing.retry", public_id=one.public_id),
        "by_hand_url": url_for("removing.removed_by_hand", public_id=one.public_id),
    }


def _acting() -> Acting:
    person = login.person()
    return Acting(user_id=person.id, instance_id=person.instance_id, actor=login.actor(), request_id=None)
