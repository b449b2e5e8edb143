"""Pages of on-demand access on the default instance: list, follow, send again, cancel, end. Views only translate."""

from __future__ import annotations

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.runtime import current_runtime
from tempadmin.web.guard import allow
from tempadmin.web.navigation import Item, items
from tempadmin.web.paging import Pages
from tempadmin.web.targets import Target, targets
from tickets import confirm, console_ask, console_decide, console_leftovers, console_removal, queries
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.presenting import PUBLIC_ID, page_of, row_of, stale_buttons_explained
from tickets.states import EndReason

blueprint = Blueprint("console", __name__)

TABS = {"mine": "Mine", "all": "All", "attention": "Needs attention"}


def init_app(app: Flask) -> None:
    """Add the pages, their place in the bar, and what may wait behind a sign-in."""
    for one in (blueprint, console_ask.blueprint, console_decide.blueprint):
        app.register_blueprint(one)
    console_removal.init_app(app)
    console_leftovers.init_app(app)
    description = "Your requests, everybody's, and what needs attention."
    items(app).append(Item(label="Access", endpoint="console.list_access", description=description, order=20))
    targets(app)["console.show"] = Target(
        endpoint="console.show", parameters={"public_id": PUBLIC_ID}, name=lambda _parameters: "your access request"
    )


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
    found, page = Pages(query, AccessRequest.id, descending=True).fetch()
    tabs = [
        {"label": label, "url": url_for("console.list_access", tab=name), "current": name == tab, "count": None}
        for name, label in TABS.items()
    ]
    rows = [row_of(one, person_id) for one in found]
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


def _to(public_id: str) -> Response:
    return redirect(url_for("console.show", public_id=public_id), 303)
