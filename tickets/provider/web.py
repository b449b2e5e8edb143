"""The addresses of the OpenID provider, on each instance's own host; views only translate.

What signs and what speaks OAuth is imported by the first product that comes: most workers never need it.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Flask, abort, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from tempadmin.accounts import login
from tempadmin.accounts.models import TEMPORARY
from tempadmin.runtime import current_runtime
from tempadmin.web.context import current_instance
from tempadmin.web.deeds import tell_deed
from tempadmin.web.guard import machine, whoever
from tempadmin.web.security import SESSION_COOKIE, delete_cookie
from tickets.provider import clients, discovery

blueprint = Blueprint("provider", __name__)

LONGEST_QUERY = 6000
"""Of what a product posts and is asked to send by GET: more would be refused there."""


def init_app(app: Flask) -> None:
    """Add the addresses."""
    app.register_blueprint(blueprint)


@blueprint.get("/.well-known/openid-configuration")
@machine(place="customer")
def configuration() -> Response:
    """Say where everything is."""
    _client()
    return jsonify(discovery.metadata(current_instance()))


@blueprint.get(discovery.JWKS)
@machine(place="customer")
def jwks() -> Response:
    """Publish the keys that tokens are verified with."""
    from tickets.provider import keys

    _client()
    return jsonify({"keys": keys.published()})


@blueprint.get(discovery.AUTHORIZE)
@whoever(place="customer")
def authorize() -> Response:
    """Send the browser back to the product, with a code where its access is active."""
    from tickets.provider.authorize import answer

    if request.method == "HEAD":
        abort(405)  # Flask answers HEAD on every GET route, and this one writes (S02)
    given = answer(
        request.args.to_dict(flat=False),
        session=login.acting_session(),
        client=_client(),
        issuer=current_instance(),
        runtime=current_runtime(),
    )
    if given.signed_in:
        tell_deed("Signed in to the product")
    return redirect(given.url, 303)


@blueprint.post(discovery.AUTHORIZE)
@machine(place="customer")
def authorize_by_form() -> Response:
    """Have a browser that posts ask again by GET: across sites its cookie comes only so (``SameSite=Lax``)."""
    return _ask_again("provider.authorize")


@blueprint.post(discovery.TOKEN)
@machine(place="customer")
def token() -> Response:
    """Change a code for an ID token."""
    from tickets.provider.exchange import exchange

    _client()
    return exchange()


@blueprint.route(discovery.USERINFO, methods=["GET", "POST"])
@machine(place="customer")
def userinfo() -> Response:
    """Say who it is, to whoever holds a token of an active access."""
    from tickets.provider import userinfo as endpoint

    told = endpoint.userinfo(request.headers.get("Authorization"), client=_client(), runtime=current_runtime())
    if told is not None:
        return jsonify(told)
    refused = jsonify({"error": "invalid_token"})
    refused.status_code = 401
    refused.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return refused


@blueprint.get(discovery.LOGOUT)
@whoever(place="customer")
def log_out() -> Response | str:
    """Log out from the product's side; without its ID token, ask the person first."""
    if request.method == "HEAD":
        abort(405)  # Flask answers HEAD on every GET route, and this one writes (S02)
    client, session = _client(), login.acting_session()
    if "id_token_hint" in request.args:
        return _logged_out()
    if session is None:
        return redirect(url_for("portal.left"), 303)
    if login.person().kind != TEMPORARY:  # somebody of the instance, or seen as somebody: no product let them in
        return redirect(url_for("home"), 303)
    return render_template("tickets/log_out.html", product=client.login_uri)


@blueprint.post(discovery.LOGOUT)
@machine(place="customer")
def log_out_by_form() -> Response:
    """Do as for GET; whoever has no ID token is asked on a page of ours."""
    if "id_token_hint" not in request.form:
        return _ask_again("provider.log_out")
    return _logged_out()


def _logged_out() -> Response:
    from tickets.provider.logout import log_out as end

    asked = (request.form if request.method == "POST" else request.args).to_dict()
    tell_deed("Left, from the product's side")
    address = end(asked, client=_client(), issuer=current_instance(), runtime=current_runtime())
    response = redirect(address or url_for("portal.left"), 303)
    delete_cookie(response, SESSION_COOKIE)
    return response


def _ask_again(endpoint: str) -> Response:
    _client()
    # Not by url_for(): a field could be called as one of its own arguments.
    address = f"{url_for(endpoint)}?{urlencode(list(request.form.items(multi=True)))}"
    if len(address) > LONGEST_QUERY:
        abort(413)
    return redirect(address, 303)


def _client() -> clients.Client:
    """Return the client of this instance; where none is registered there is no provider."""
    client = clients.registered(current_instance())
    if client is None:
        abort(404)
    return client
