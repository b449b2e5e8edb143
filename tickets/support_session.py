"""The page of a support session on the instance's host: who one is, until when, how to get in, the way out.

An account that is used in the instance's own product has no other page here (``tempadmin.web.guard.confinements``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, abort, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from instances.connectors.base import ConnectorError, Entry
from tempadmin.accounts import login
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, LoginSession
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tempadmin.web.context import InstanceInfo, current_instance
from tempadmin.web.guard import allow, confinements
from tickets import activation, credential, entries
from tickets.accounts import account_of
from tickets.authority import access_behind
from tickets.models import AccessRequest
from tickets.provider import clients
from tickets.redeem import LetIn

blueprint = Blueprint("inside", __name__)


def init_app(app: Flask) -> None:
    """Add the page, and keep sessions to it whose account is used elsewhere."""
    app.register_blueprint(blueprint)
    confinements(app).append(_page_of)


def way_on(let_in: LetIn, *, instance: InstanceInfo) -> str:
    """Return where a browser goes that was just let in: to the product, to this page, or into the control panel."""
    if let_in.used_here:
        return url_for("home")
    request = db.session.get_one(AccessRequest, let_in.request_id)
    if entries.read(request) is Entry.OIDC and entries.is_let_in(request):
        return _product_url(request, instance) or url_for("inside.overview")
    return url_for("inside.overview")


@blueprint.get("/support-session")
@allow(MEMBER, ADMINISTRATOR, place="customer", support_only=True, confined=True)
def overview() -> str | Response:
    """Say who one is here, until when, and how to get in."""
    request = _behind()
    if entries.is_used_here(request):
        return redirect(url_for("home"))
    return _page(request)


@blueprint.post("/support-session/password")
@allow(MEMBER, ADMINISTRATOR, place="customer", support_only=True, confined=True)
def show_password() -> str:
    """Show the password, in this answer and never again."""
    request = _behind()
    if entries.read(request) is not Entry.CREDENTIAL:
        abort(404)
    password = credential.show(request_id=request.id, actor=login.actor(), runtime=current_runtime())
    return _page(db.session.get_one(AccessRequest, request.id, populate_existing=True), password=password)


@blueprint.post("/support-session/try-again")
@allow(MEMBER, ADMINISTRATOR, place="customer", support_only=True, confined=True)
def try_again() -> Response:
    """Have the account let in again; the answer waits for the directory."""
    request = _behind()
    if activation.try_again(request_id=request.id, runtime=current_runtime()):
        flash("Your account is let in now.", "success")
    return redirect(url_for("inside.overview"), 303)


def _page(request: AccessRequest, *, password: str | None = None) -> str:
    instance, entry = current_instance(), entries.read(request)
    let_in = entries.is_let_in(request)
    return render_template(
        "tickets/support_session.html",
        entry=entry,
        account_name=request.account_name,
        person_name=request.requester_name,
        instance_name=request.instance_name,
        host=urlsplit(instance.url).netloc,
        ends_at=request.ends_at,
        let_in=let_in,
        error=(request.last_error or "").rstrip("."),
        goes_on=request.next_attempt_at is not None,
        password=password,
        shown_at=request.credential_shown_at,
        product_url=_product_url(request, instance) if let_in and entry is Entry.OIDC else None,
        hint=_hint(request) if let_in and entry is Entry.CREDENTIAL else {},
    )


def _behind() -> AccessRequest:
    """Return the request behind the acting session, read anew: what was said meanwhile counts."""
    session = login.acting_session()
    found = None if session is None else access_behind(session)
    if found is None:
        abort(403)
    return db.session.get_one(AccessRequest, found.id)


def _page_of(session: LoginSession) -> str | None:
    request = access_behind(session)
    return None if request is None or entries.is_used_here(request) else url_for("inside.overview")


def _product_url(request: AccessRequest, instance: InstanceInfo) -> str | None:
    """Return where the product begins a login at us (OpenID Connect Core, 4: initiated by a third party)."""
    client = clients.of_instance(request.instance_id)
    if client is None:
        return None
    there = urlsplit(client.login_uri)
    added = urlencode({"iss": instance.url, "login_hint": request.account_name or ""})
    return urlunsplit(there._replace(query=f"{there.query}&{added}" if there.query else added))


def _hint(request: AccessRequest) -> dict[str, Any]:
    """Return where and how to sign in, as far as the connector knows; without it the page is as good as before."""
    try:
        return dict(entries.sign_in_hint(request.connector)(account_of(request)))
    except ConnectorError:
        return {}
