"""The way in, on the default instance: confirm, be shown the one-time link, be handed over. Views only translate."""

from __future__ import annotations

import re

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import StringField, SubmitField
from wtforms.validators import DataRequired, Length

from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.db import db
from tempadmin.errors import Invalid, NotFound, RateLimited
from tempadmin.runtime import current_runtime
from tempadmin.web.context import instance_source
from tempadmin.web.fields import BAD_REQUEST, slow_down
from tempadmin.web.guard import allow
from tempadmin.web.targets import Target, targets
from tickets import confirm, queries, ways_in
from tickets.codes import CHALLENGE
from tickets.hand_off import issue_code
from tickets.models import AccessRequest
from tickets.presenting import PUBLIC_ID, access_of, stale_buttons_explained
from tickets.sign_in_link import SignInLink

blueprint = Blueprint("entry", __name__)

KEY = re.compile(r"[A-Za-z0-9_.-]{20,200}")


class ConfirmForm(FlaskForm):
    """The fresh second factor."""

    code = StringField(
        "Authentication code",
        description="Six digits from your authenticator. A code that you have used already cannot be used again.",
        validators=[DataRequired("Type the code that your authenticator shows now."), Length(max=60)],
    )
    submit = SubmitField("Confirm")


def init_app(app: Flask) -> None:
    """Add the pages, and what may wait behind a sign-in."""
    app.register_blueprint(blueprint)
    targets(app)["entry.enter"] = Target(
        endpoint="entry.continue_to",
        parameters={"request": PUBLIC_ID, "challenge": CHALLENGE},
        name=lambda parameters: _name_of(parameters["request"]),
    )
    targets(app)["entry.confirm_page"] = Target(
        endpoint="entry.confirm_page",
        parameters={"key": KEY},
        name=lambda _parameters: "the confirmation of your access request",
    )


@blueprint.post("/access/<public_id>/confirmation")
@allow(OMNIADMIN, place="console")
def open_confirmation(public_id: str) -> Response:
    """Open the confirmation where no mail carries its link."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        key = confirm.open_confirmation(request_id=found.id, user_id=login.person().id, runtime=current_runtime())
    return redirect(url_for("entry.confirm_page", key=key), 303)


@blueprint.post("/access/<public_id>/new-link")
@allow(OMNIADMIN, place="console")
def new_link(public_id: str) -> str:
    """Make a new sign-in link and show it, here and nowhere else."""
    found = queries.by_public_id(public_id)
    with stale_buttons_explained(found):
        link = confirm.new_sign_in_link(request_id=found.id, user_id=login.person().id, runtime=current_runtime())
    return _show_link(link)


@blueprint.route("/access/confirm", methods=["GET", "POST"])
@allow(OMNIADMIN, place="console")
def confirm_page() -> str | tuple[str, int, dict[str, str]]:
    """Confirm with a fresh second factor; the answer shows the one-time link."""
    runtime, key = current_runtime(), request.args.get("key", "")
    person_id = login.person().id
    form, refused = ConfirmForm(), BAD_REQUEST
    if form.validate_on_submit():
        try:
            link = confirm.confirm(key=key, user_id=person_id, answer=form.code.data or "", runtime=runtime)
        except Invalid as error:
            form.code.errors = [error.message]
        except RateLimited as error:
            refused = slow_down(form, error)
        else:
            return _show_link(link)
    found, ticket = confirm.look(key=key, user_id=person_id, runtime=runtime)
    page = render_template(
        "tickets/confirm.html",
        access=access_of(found),
        expires_at=ticket.expires_at,
        form=form,
        not_me_url=url_for("entry.not_me", key=key),
    )
    return (page, *refused) if form.is_submitted() else page


@blueprint.post("/access/not-me")
@allow(OMNIADMIN, place="console")
def not_me() -> Response:
    """Cancel a request that somebody else made in one's name, and tell the other omniadmins."""
    key, runtime = request.args.get("key", ""), current_runtime()
    found, _ = confirm.look(key=key, user_id=login.person().id, runtime=runtime)
    public_id = found.public_id
    confirm.disown(key=key, user_id=login.person().id, runtime=runtime)
    flash("The request is cancelled and the other omniadmins are told. Change your password now.", "warning")
    return redirect(url_for("console.show", public_id=public_id), 303)


@blueprint.get("/access/enter")
@allow(OMNIADMIN, place="console")
def enter() -> Response:
    """Hand a confirmed browser a code and send it back to the instance (design §4.5, step 2)."""
    public_id, challenge = request.args.get("request", ""), request.args.get("challenge", "")
    if request.method == "HEAD":
        abort(405)  # Flask answers HEAD on every GET route, and this one writes (S02)
    if not PUBLIC_ID.fullmatch(public_id) or not CHALLENGE.fullmatch(challenge):
        abort(404)
    runtime = current_runtime()
    url = issue_code(public_id=public_id, challenge=challenge, user_id=login.person().id, runtime=runtime)
    return redirect(url, 303)


@blueprint.get("/access/continue")
@allow(OMNIADMIN, place="console")
def continue_to() -> str:
    """Show the link on, after a sign-in: a form's redirect must not leave its host."""
    public_id, challenge = request.args.get("request", ""), request.args.get("challenge", "")
    if not PUBLIC_ID.fullmatch(public_id) or not CHALLENGE.fullmatch(challenge):
        abort(404)
    found = queries.by_public_id(public_id)
    if found.requester_id != login.person().id:
        abort(404)
    url = url_for("entry.enter", request=public_id, challenge=challenge)
    return render_template("tickets/continue.html", name=found.instance_name, url=url)


def _show_link(link: SignInLink) -> str:
    instance = instance_source().by_id(link.instance_id)
    if instance is None:
        raise NotFound("This instance is gone.")
    access = {
        "instance_name": link.instance_name,
        "way_in": ways_in.promise_of(link),
        "duration": link.duration_seconds,
        "url": url_for("console.show", public_id=link.public_id),
    }
    address = instance.url + url_for("portal.open_link", key=link.key)
    return render_template("tickets/sign_in_link.html", access=access, link=address, expires_at=link.expires_at)


def _name_of(public_id: str) -> str | None:
    return db.session.scalar(select(AccessRequest.instance_name).where(AccessRequest.public_id == public_id))
