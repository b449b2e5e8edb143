"""Logout that begins at the product (OpenID Connect RP-Initiated Logout 1.0): it ends the access, as *Log out* here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authlib.common.urls import add_params_to_uri
from sqlalchemy import select

from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.provider import keys
from tickets.provider.clients import Client
from tickets.states import EndReason


def log_out(asked: Mapping[str, str], *, client: Client, issuer: InstanceInfo, runtime: Runtime) -> str | None:
    """End the access that the ID token speaks of; return the registered address to go to, if one was named.

    The token is the proof: only the product and this browser ever had it, and its being too old changes nothing of
    that. An access that is over already is a success.

    Raises
    ------
    Invalid
        When the token is none of ours for this product; then nothing ends, and nobody is sent anywhere.
    """
    told = _judged(asked, client, issuer)
    request = db.session.scalars(
        select(AccessRequest).where(
            AccessRequest.public_id == told.get("sid"), AccessRequest.instance_id == client.instance_id
        )
    ).one_or_none()
    if request is not None:
        actor = Actor(id=request.requester_id, name=request.requester_name)
        try:
            end_access(request_id=request.id, reason=EndReason.LOGOUT, actor=actor, runtime=runtime)
        except Conflict:
            db.session.rollback()
    return _next(asked, client)


def _judged(asked: Mapping[str, str], client: Client, issuer: InstanceInfo) -> Mapping[str, Any]:
    told = keys.verified(asked.get("id_token_hint", ""))
    if told is None or told.get("iss") != issuer.url or told.get("aud") != client.client_id:
        raise Invalid("The product's logout could not be read. Log out here instead.")
    if asked.get("client_id", client.client_id) != client.client_id:
        raise Invalid("The product's logout names another product. Log out here instead.")
    return told


def _next(asked: Mapping[str, str], client: Client) -> str | None:
    address = asked.get("post_logout_redirect_uri")
    if address is None or address not in client.post_logout_redirect_uris:
        return None
    state = asked.get("state")
    return str(add_params_to_uri(address, [("state", state)])) if state else address
