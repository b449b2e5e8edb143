"""What a product is told of whoever is inside: temporary, until then, and really that person (RFC 8693, ``act``)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo
from tickets.models import AccessRequest
from tickets.provider.clients import Client
from tickets.provider.models import OidcLogin

SCOPES = ("openid", "profile", "email", "groups")
ALWAYS = (
    "sub", "sid", "name", "preferred_username", "email", "email_verified", "groups", "act", "access_expires_at",
)  # fmt: skip
IN_TOKENS = ("iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr")


def person(request: AccessRequest, client: Client, *, runtime: Runtime) -> dict[str, Any]:
    """Return who it is; the same in ID tokens and at the userinfo endpoint, whatever scopes were asked for.

    Nobody is asked what may be told: the account was made for this product, and there is no other to be told of.
    """
    return {
        "sub": request.account_name,
        "sid": request.public_id,
        "name": request.requester_name,
        "preferred_username": request.account_name,
        "email": request.account_email,
        "email_verified": False,
        "groups": list(client.groups),
        "act": {
            "iss": runtime.settings.base_url,
            "sub": str(request.requester_id),
            "name": request.requester_name,
            "email": request.requester_email,
        },
        "access_expires_at": _seconds(request.ends_at),
    }


def of_token(
    login: OidcLogin, request: AccessRequest, client: Client, issuer: InstanceInfo, *, now: datetime, runtime: Runtime
) -> dict[str, Any]:
    """Return the claims of an ID token, but for its hash of the access token."""
    return {
        "iss": issuer.url,
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": _seconds(login.token_expires_at),
        "auth_time": _seconds(request.confirmed_at),
        "amr": ["pwd", "otp", "mfa"],
        **({} if login.nonce is None else {"nonce": login.nonce}),
        **person(request, client, runtime=runtime),
    }


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())
