"""The token endpoint (RFC 6749, 3.2): a product changes a code for an ID token, by Authlib, in one transaction of ours.

Authlib reads the request, judges the client and composes answers; what is handed out is decided in ``logins``, under
lock. Its refusals are answers, not exceptions: so what they burned is committed with them (design §2).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.core.grants.util import create_half_hash
from flask import Response, request

from tempadmin.accounts import throttle
from tempadmin.db import retried_once, transaction
from tempadmin.runtime import Runtime, current_runtime
from tempadmin.web.context import current_instance
from tickets.provider import claims, clients, keys, logins

# It writes whole tokens to its log at that level (P12).
logging.getLogger("authlib").setLevel(logging.INFO)

METHODS = ("client_secret_basic", "client_secret_post")
CODE_ONLY = "authorization_code"


@retried_once
def exchange() -> Response:
    """Answer the present request; committed whatever the answer is."""
    keys.ensure(current_runtime())  # a restored database has none
    with transaction():
        return cast("Response", _server().create_token_response())


class _Payload(OAuth2Payload):
    """What stands in the form; an address ends in logs, so what stands there counts for nothing."""

    @property
    def data(self) -> Mapping[str, str]:
        return request.form

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, request.form.to_dict(flat=False))


class _Request(OAuth2Request):
    def __init__(self) -> None:
        # Only the settings say how we are reached (S08, S43): behind a proxy that ends TLS the request looks like http.
        super().__init__(request.method, "https://provider/token", headers=request.headers)
        self.payload = _Payload()

    @property
    def form(self) -> Mapping[str, str]:
        return request.form


class _Product(ClientMixin):
    """A client as Authlib sees one."""

    def __init__(self, client: clients.Client, runtime: Runtime) -> None:
        self.client, self._runtime = client, runtime

    def check_client_secret(self, secret: str) -> bool:
        """Judge a secret, and pause after wrong ones: per network, or anybody could keep the product out (S12)."""
        key = f"oidc:{self.client.client_id}:{request.remote_addr}"
        (row,) = throttle.locked_all(key, now=self._runtime.now())
        now = self._runtime.now()
        throttle.refuse_while_blocked(row, now=now)
        if not self.client.knows_secret(secret, runtime=self._runtime):
            throttle.count_wrong(row, now=now)
            return False
        if row.failures:
            throttle.forget(row, now=now)
        return True

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == CODE_ONLY


class _Code(AuthorizationCodeMixin):
    """A code that was taken: all of it is judged already."""

    def __init__(self, taken: logins.Taken) -> None:
        self.taken = taken

    def get_redirect_uri(self) -> None:
        return None

    def get_scope(self) -> str:
        return self.taken.login.scope


class _Server(AuthorizationServer):
    def create_oauth2_request(self, request: object) -> _Request:
        return _Request()

    def query_client(self, client_id: str) -> _Product | None:
        client = clients.registered(current_instance())
        return None if client is None or client.client_id != client_id else _Product(client, current_runtime())

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        """Nothing is left to be done: it was put on the login's row when it was made."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody here listens to Authlib."""


class _CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def query_authorization_code(self, code: str, client: _Product) -> _Code | None:
        form = request.form
        taken = logins.take(
            code,
            verifier=form.get("code_verifier", ""),
            redirect_uri=form.get("redirect_uri", ""),
            client=client.client,
            runtime=current_runtime(),
        )
        return None if taken is None else _Code(taken)

    def validate_token_request(self) -> None:
        twice = [name for name in request.form if len(request.form.getlist(name)) > 1]
        if twice:
            raise InvalidRequestError("A parameter is given twice.")
        super().validate_token_request()

    def authenticate_user(self, authorization_code: _Code) -> logins.Taken:
        return authorization_code.taken

    def generate_token(self, user: logins.Taken, scope: str, *, include_refresh_token: bool) -> dict[str, Any]:
        left = user.request.ends_at - user.now if user.request.ends_at is not None else None
        return {
            "token_type": "Bearer",
            "access_token": logins.give_token(user, runtime=current_runtime()),
            "expires_in": 0 if left is None else int(left.total_seconds()),
            "scope": user.login.scope,
        }

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        """Nothing: it was used up when it was taken, and its row stays, so that a second use is seen."""


class _IdToken(OpenIDCode):
    def encode_id_token(self, token: dict[str, Any], request: _Request) -> str:
        taken, runtime = cast("logins.Taken", request.user), current_runtime()
        client, issuer = cast("_Product", request.client).client, current_instance()
        told = claims.of_token(taken.login, taken.request, client, issuer, now=taken.now, runtime=runtime)
        told["at_hash"] = create_half_hash(token["access_token"], keys.ALGORITHM).decode()
        signed, taken.login.kid = keys.sign(told, now=taken.now, runtime=runtime)
        return signed


@cache
def _server() -> _Server:
    server = _Server()
    server.register_client_auth_method("client_secret_basic", _by_basic)
    server.register_client_auth_method("client_secret_post", _by_form)
    server.register_grant(_CodeGrant, [_IdToken()])
    return server


def _by_basic(query_client: Callable[[str], _Product | None], _asked: _Request) -> _Product | None:
    """Werkzeug reads the header: on one that is not base64 of UTF-8 Authlib's own reading raises (measured)."""
    sent = request.authorization
    if sent is None or sent.type != "basic":
        return None
    return _judged(query_client, sent.username, sent.password)


def _by_form(query_client: Callable[[str], _Product | None], _asked: _Request) -> _Product | None:
    return _judged(query_client, request.form.get("client_id"), request.form.get("client_secret"))


def _judged(
    query_client: Callable[[str], _Product | None], client_id: str | None, secret: str | None
) -> _Product | None:
    """Return the client that proved itself; an unknown one gets the answer of one with a wrong secret."""
    product = query_client(client_id or "") if secret else None
    return product if product is not None and product.check_client_secret(secret or "") else None
