"""Logout tokens: what each has to say before it is believed (OpenID Connect Back-Channel Logout 1.0, section 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

EVENT = "http://schemas.openid.net/event/backchannel-logout"
ALGORITHMS = ["RS256", "ES256"]  # never "none", and no algorithm whose key would be our own secret
OLDEST, LEEWAY = 600, 60  # seconds


class RefusedToken(Exception):
    """A logout token that is not believed."""


@dataclass(frozen=True, kw_only=True)
class LogoutToken:
    """Who is to be signed out: one session, or where ``sid`` is ``None`` all of a person."""

    sid: str | None
    sub: str | None
    jti: str
    expires_at: float
    """Seconds since 1970; until then the token could be sent again."""


def verified(token: str, *, keys: Callable[..., Any], issuer: str, client_id: str, now: int) -> LogoutToken:
    """Return what a logout token says, when all of it is in order.

    Parameters
    ----------
    keys
        Returns the provider's key set; with ``force=True`` a fresh one.
    now
        Seconds since 1970.

    Raises
    ------
    RefusedToken
        Says why.
    """
    try:
        try:
            decoded = jwt.decode(token, KeySet.import_key_set(keys()), algorithms=ALGORITHMS)
        except InvalidKeyIdError:  # the provider has changed its key since
            decoded = jwt.decode(token, KeySet.import_key_set(keys(force=True)), algorithms=ALGORITHMS)
        claims = decoded.claims
        jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            iat={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise RefusedToken(str(error) or type(error).__name__) from error
    if decoded.header.get("typ", "logout+jwt").lower() != "logout+jwt":
        raise RefusedToken("this is another kind of token")
    if claims["iat"] < now - OLDEST:
        raise RefusedToken("this token is old")
    events = claims.get("events")
    if not isinstance(events, dict) or EVENT not in events or "nonce" in claims:
        raise RefusedToken("this is no logout token")
    sid, sub = claims.get("sid"), claims.get("sub")
    if sid is None and sub is None:
        raise RefusedToken("it names neither a session nor a person")
    return LogoutToken(sid=sid, sub=sub, jti=str(claims["jti"]), expires_at=float(claims["exp"]) + LEEWAY)
