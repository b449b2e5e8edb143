"""Pages of on-demand access on a customer's instance: the way in and the way out."""

from __future__ import annotations

from flask import Blueprint, Flask, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from tempadmin.accounts import login
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, REGULAR
from tempadmin.errors import Gone
from tempadmin.runtime import current_runtime
from tempadmin.web import errors
from tempadmin.web.context import current_instance
from tempadmin.web.guard import allow, public
from tempadmin.web.security import SESSION_COOKIE, delete_cookie, read_cookie, set_cookie
from tickets import hand_off, support_session
from tickets.end import end_access
from tickets.redeem import OtherTab, redeem
from tickets.states import EndReason

blueprint = Blueprint("portal", __name__)

HAND_OFF_COOKIE = "tempadmin_handoff"


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)


@blueprint.get("/login/ticket")
@public(place="customer")
def open_link() -> Response:
    """Open a one-time link: keep a verifier in this browser and lead it to the console. Nothing is written."""
    runtime = current_runtime()
    try:
        departure = hand_off.depart(
            key=request.args.get("key", ""),
            instance_id=current_instance().id,
            cookie=read_cookie(HAND_OFF_COOKIE),
            runtime=runtime,
        )
    except Gone as gone:
        return errors.page(410, gone.message, action=_console("Open your requests"))
    response = redirect(departure.url, 303)
    set_cookie(response, HAND_OFF_COOKIE, departure.cookie, max_age=departure.max_age)
    return response


@blueprint.get("/login/return")
@public(place="customer")
def come_back() -> Response:
    """Let the browser in that left here with a verifier and comes back with its code (design §4.5, step 3)."""
    if request.method == "HEAD":
        abort(405)  # Flask answers HEAD on every GET route, and this one writes (S02)
    runtime, instance = current_runtime(), current_instance()
    kept = hand_off.open_cookie(read_cookie(HAND_OFF_COOKIE), instance_id=instance.id, runtime=runtime)
    if kept is None:
        message = "This browser did not begin here, or took too long. Open your link again, or make a new one."
        return errors.page(409, message, title="Start again", action=_console("Start again"))
    try:
        let_in = redeem(
            kept=kept,
            code=request.args.get("code", ""),
            instance_id=instance.id,
            present_session=read_cookie(SESSION_COOKIE),
            client=login.client(),
            runtime=runtime,
        )
    except OtherTab as error:
        again = errors.Action("Start again", url_for("portal.open_link", key=kept.key))
        return errors.page(409, error.message, title="Start again", action=again)
    except Gone as gone:
        response = errors.page(410, gone.message, action=_console("Open your requests"))
        delete_cookie(response, HAND_OFF_COOKIE)
        return response
    response = redirect(support_session.way_on(let_in, instance=instance), 303)
    set_cookie(response, SESSION_COOKIE, let_in.secret)
    delete_cookie(response, HAND_OFF_COOKIE)
    return response


@blueprint.post("/support-session/leave")
@allow(MEMBER, ADMINISTRATOR, place="customer", support_only=True, confined=True)
def leave() -> Response:
    """Log out and delete this account, or stop impersonating."""
    session = login.acting_session()
    if session is None or session.access_request_id is None:
        abort(403)
    stopped = "user" if login.person().kind == REGULAR else None
    end_access(
        request_id=session.access_request_id, reason=EndReason.LOGOUT, actor=login.actor(), runtime=current_runtime()
    )
    response = redirect(url_for("portal.left", was=stopped), 303)
    delete_cookie(response, SESSION_COOKIE)
    return response


@blueprint.get("/left")
@public(place="customer")
def left() -> Response:
    """Say that the access is over; the page stands on this host and links home."""
    sentences = [
        "You are logged out of this instance, and your temporary account is being deleted now.",
        "The page of your request shows when it was read back as gone.",
    ]
    if request.args.get("was") == "user":
        sentences = [
            "You see this instance as yourself again: nobody's pages any more.",
            "The user can read what you did, and so can the administrators here.",
        ]
    url = f"{current_runtime().settings.base_url}/access"
    return make_response(render_template("tickets/left.html", sentences=sentences, console_url=url))


def _console(label: str) -> errors.Action:
    return errors.Action(label, f"{current_runtime().settings.base_url}/access")
