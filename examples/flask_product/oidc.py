"""The door for support: OpenID Connect with Authlib, back-channel logout, and logging out at the provider.

Only accounts that SCIM made are entered here. Whatever a provider may say, it never signs anybody in as one of the
product's own people.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, abort, current_app, redirect, request, url_for
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response

from .logout_token import RefusedToken, verified
from .pages import sign_in
from .settings import Settings
from .store import Store

TIMEOUT = 10  # seconds, for each question to the provider
LONGEST = 8 * 3600  # seconds; a provider that names no end does not get for ever

log = logging.getLogger(__name__)
bp = Blueprint("oidc", __name__, url_prefix="/oidc")
back_channel = Blueprint("back_channel", __name__, url_prefix="/oidc")
"""What no CSRF token protects: the provider has none, it signs what it sends."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """The provider, and who may come from there."""

    provider: Any  # Authlib's FlaskOAuth2App, which has no types
    store: Store
    settings: Settings

    def farewell(self, id_token: str) -> str:
        """Return where a browser logs out at the provider, which ends the access and removes the account."""
        back = f"{self.settings.url}/"
        there = self.provider.create_logout_url(
            post_logout_redirect_uri=back, id_token_hint=id_token, client_id=self.settings.client_id
        )
        return str(there["url"])

    def open_session(self, claims: dict[str, Any], *, person: str, id_token: str) -> str:
        """Sign somebody in as the provider says, no longer than it says; return what the cookie keeps."""
        until, latest = claims.get("access_expires_at"), time.time() + LONGEST
        really = claims.get("act") or {}
        return self.store.open_session(
            person,
            expires_at=min(float(until), latest) if isinstance(until, int | float) else latest,
            administrator=self.settings.administrators in (claims.get("groups") or []),
            really=really.get("name") or really.get("sub"),
            provider_sid=claims.get("sid"),
            id_token=id_token,
        )


def init_app(app: Flask, store: Store, settings: Settings) -> None:
    """Add the door."""
    provider = OAuth(app).register(
        "provider",
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile", "code_challenge_method": "S256", "default_timeout": TIMEOUT},
    )
    app.extensions["door"] = Door(provider=provider, store=store, settings=settings)
    app.register_blueprint(bp)
    app.register_blueprint(back_channel)


@bp.get("/start")
def start() -> Response:
    """Begin where the provider sends somebody to us (OpenID Connect Core 1.0, section 4)."""
    door = _door()
    if request.args.get("iss") != door.settings.issuer:
        abort(403, "This product is entered from another provider.")
    try:
        answer: Response = door.provider.authorize_redirect(f"{door.settings.url}/oidc/return")
    except RequestException as error:
        log.warning("the provider does not answer: %s", error)
        abort(502, "The provider does not answer. Please try again.")
    return answer


@bp.get("/return")
def back() -> Response:
    """Exchange the code; Authlib checks state, PKCE, signature, iss, aud, exp and nonce."""
    door = _door()
    try:
        token: dict[str, Any] = door.provider.authorize_access_token()
    except RequestException as error:
        log.warning("the provider does not answer: %s", error)
        abort(502, "The provider does not answer. Please try again.")
    except (OAuthError, JoseError, ValueError) as error:
        log.warning("refused: %s", error)
        abort(403, "You were not let in. Please begin again where you came from.")
    claims: dict[str, Any] = token.get("userinfo") or abort(403, "The provider did not say who you are.")
    person = door.store.provisioned_person(str(claims["sub"]))
    if person is None:
        abort(403, "There is no such account here.")
    sign_in(door.open_session(claims, person=person, id_token=token["id_token"]))
    return redirect(url_for("pages.home"))


@back_channel.post("/logout")
def logout() -> tuple[dict[str, str], int]:
    """End the session that the provider says is over (OpenID Connect Back-Channel Logout 1.0)."""
    door = _door()
    try:
        said = verified(
            request.form.get("logout_token", ""),
            keys=door.provider.fetch_jwk_set,
            issuer=door.settings.issuer,
            client_id=door.settings.client_id,
            now=int(time.time()),
        )
    except (RefusedToken, RequestException) as error:
        log.warning("a logout token was refused: %s", error)
        return {"error": "invalid_request", "error_description": str(error)}, 400
    if not door.store.end_sessions_of(sid=said.sid, user_name=said.sub, jti=said.jti, expires_at=said.expires_at):
        return {"error": "invalid_request", "error_description": "this token was used before"}, 400
    return {}, 200


def _door() -> Door:
    door: Door = current_app.extensions["door"]
    return door
