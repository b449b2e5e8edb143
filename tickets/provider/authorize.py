"""The authorization endpoint (RFC 6749, 3.1; OpenID Connect Core, 3.1.2): a browser with an active access gets a code.

There is no sign-in form behind it: whoever is inside came by the hand-off, with a second factor given for this very
access, and whoever is not goes back to the product with an error. Nobody is ever sent to an address that is not
registered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidRequestError, InvalidScopeError
from authlib.oidc.core.errors import LoginRequiredError

from tempadmin.accounts.models import LoginSession
from tempadmin.db import retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid, Unavailable
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo
from tickets import codes
from tickets.provider import logins
from tickets.provider.claims import SCOPES
from tickets.provider.clients import Client

PROMPTS = frozenset({"login", "consent", "select_account"})
"""What a product may want to be shown: nothing of it is needed, for there is one account, and it signed in for this."""
LONGEST_STATE, LONGEST_NONCE = 2000, 500
MAX_AGE = re.compile(r"[0-9]{1,9}")

Asked = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Where the browser goes, and whether with a code."""

    url: str
    signed_in: bool


def answer(
    asked: Asked, *, session: LoginSession | None, client: Client, issuer: InstanceInfo, runtime: Runtime
) -> Answer:
    """Answer a product's wish to know who is there.

    Parameters
    ----------
    asked
        The parameters as they came, each with all its values.
    session
        The browser's session on the instance's host, if any acts there.

    Raises
    ------
    Invalid
        When it is not certain that the product itself asks: then nobody is sent anywhere.
    """
    redirect_uri = _certain(asked, client)
    told: list[tuple[str, str]]
    try:
        wish = _wish(asked, redirect_uri)
        if session is None:
            raise LoginRequiredError
        _refuse_too_old(asked, session, now=runtime.now())
        told = [("code", _begin(wish, session_id=session.id, client=client, runtime=runtime))]
    except OAuth2Error as error:
        told = error.get_body()
    except (Forbidden, Conflict) as error:
        told = AccessDeniedError(description=error.message).get_body()
    except Unavailable as error:
        told = OAuth2Error(error="temporarily_unavailable", description=error.message).get_body()
    state = _one(asked, "state")
    told += [*([("state", state)] if state else []), ("iss", issuer.url)]  # iss: RFC 9207, against mix-up
    return Answer(url=add_params_to_uri(redirect_uri, told), signed_in=told[0][0] == "code")


@retried_once
def _begin(wish: logins.Wish, *, session_id: int, client: Client, runtime: Runtime) -> str:
    with transaction():
        return logins.begin(wish, session_id=session_id, client=client, runtime=runtime)


def _certain(asked: Asked, client: Client) -> str:
    """Return the registered address that is meant."""
    twice = sorted(name for name, values in asked.items() if len(values) > 1)
    if twice:
        raise Invalid("The product asked with a parameter given twice.")
    if _one(asked, "client_id") != client.client_id:
        raise Invalid("The product that sent you here is not the one that is registered for this instance.")
    redirect_uri = _one(asked, "redirect_uri")
    if redirect_uri is None or redirect_uri not in client.redirect_uris:
        raise Invalid("The product wants you sent to an address that is not registered, so you stay here.")
    if len(_one(asked, "state") or "") > LONGEST_STATE:
        raise Invalid("The product asked with a state that is too long.")
    return redirect_uri


def _wish(asked: Asked, redirect_uri: str) -> logins.Wish:
    """Return what a product wants, once all of it can be given."""
    for name in ("request", "request_uri", "registration"):
        if name in asked:
            raise OAuth2Error(error=f"{name}_not_supported", description="Put the parameters into the address.")
    if _one(asked, "response_type") != "code":
        raise OAuth2Error(error="unsupported_response_type", description="Only response_type=code is answered.")
    if _one(asked, "response_mode") not in (None, "query"):
        raise InvalidRequestError("Only response_mode=query is answered.")
    wanted = (_one(asked, "scope") or "").split()
    if "openid" not in wanted:
        raise InvalidScopeError("The scope openid is needed.")
    challenge = _one(asked, "code_challenge") or ""
    if _one(asked, "code_challenge_method") != "S256" or not codes.CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError("PKCE with code_challenge_method=S256 is needed (RFC 7636).")
    prompts = set((_one(asked, "prompt") or "").split())
    if prompts != {"none"} and not prompts <= PROMPTS:
        raise InvalidRequestError("This prompt cannot be read.")
    nonce = _one(asked, "nonce")
    if nonce is not None and len(nonce) > LONGEST_NONCE:
        raise InvalidRequestError("The nonce is too long.")
    scope = " ".join(name for name in SCOPES if name in wanted)
    return logins.Wish(redirect_uri=redirect_uri, challenge=challenge, scope=scope, nonce=nonce)


def _refuse_too_old(asked: Asked, session: LoginSession, *, now: datetime) -> None:
    """Refuse where the product wants a younger second factor than the one that this access began with."""
    max_age = _one(asked, "max_age")
    if max_age is None:
        return
    if not MAX_AGE.fullmatch(max_age):
        raise InvalidRequestError("max_age is no number of seconds.")
    if session.mfa_at is None or now > session.mfa_at + timedelta(seconds=int(max_age)):
        raise LoginRequiredError("The second factor was given longer ago.")


def _one(asked: Asked, name: str) -> str | None:
    values = asked.get(name, ())
    return values[0] if values else None
