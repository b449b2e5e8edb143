"""The userinfo endpoint (OpenID Connect Core, 5.3): who it is, for as long as the access is active."""

from __future__ import annotations

from typing import Any

from tempadmin.runtime import Runtime
from tickets.provider import claims, logins
from tickets.provider.clients import Client


def userinfo(authorization: str | None, *, client: Client, runtime: Runtime) -> dict[str, Any] | None:
    """Return the claims behind a bearer token; ``None`` for one that is unknown, void, or of an access that is over.

    Parameters
    ----------
    authorization
        The header as it came; a token in the address or in a form counts for nothing (RFC 9700, 4.3.2).
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    request = logins.behind(token.strip(), instance_id=client.instance_id, runtime=runtime)
    return None if request is None else claims.person(request, client, runtime=runtime)
