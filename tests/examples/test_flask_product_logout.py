"""Logout tokens that the example believes, and each kind that it does not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from examples.flask_product.app import create_app
from examples.flask_product.logout_token import EVENT, RefusedToken, verified
from examples.flask_product.settings import Settings
from examples.flask_product.store import Store

NOW = 1_800_000_000
KEY, NEXT_KEY, FOREIGN = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("one", "two", "one"))
CLAIMS = {
    "iss": "https://acme.example.com",
    "aud": "parcels",
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "once",
    "sid": "session",
    "sub": "liferay_online_1_2",
    "events": {EVENT: {}},
}
HEADER = {"alg": "RS256", "kid": "one", "typ": "logout+jwt"}


def keys(*, force: bool = False) -> dict[str, Any]:
    """What the provider publishes; its newer key only to whoever asks again."""
    known = [key.as_dict(private=False) for key in ([KEY, NEXT_KEY] if force else [KEY])]
    return {"keys": known}


def read(token: str) -> str | None:
    said = verified(token, keys=keys, issuer="https://acme.example.com", client_id="parcels", now=NOW + 1)
    return said.sid


def test_a_logout_token_in_order_is_believed() -> None:
    """Signed by a key of the provider, also by one that it has only had since a moment ago."""
    assert read(jwt.encode(HEADER, CLAIMS, KEY)) == "session"
    assert read(jwt.encode({**HEADER, "kid": "two"}, CLAIMS, NEXT_KEY)) == "session"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"aud": "another product"},
        {"aud": None},
        {"iat": NOW - 3600},
        {"iat": NOW + 3600},
        {"iat": None},
        {"exp": NOW - 3600},
        {"exp": None},
        {"jti": None},
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"nonce": "an ID token"},
        {"sid": None, "sub": None},
    ],
    ids=str,
)
def test_a_logout_token_that_lacks_anything_is_refused(change: dict[str, Any]) -> None:
    """Each of its claims is needed, and has to be right."""
    claims = {name: value for name, value in {**CLAIMS, **change}.items() if value is not None}
    with pytest.raises(RefusedToken):
        read(jwt.encode(HEADER, claims, KEY))


def test_a_logout_token_of_nobody_is_refused() -> None:
    """Another one's key, no signature, our own secret as the key, another kind of token, and no token at all."""
    secret = OctKey.import_key("a client secret of thirty-two bytes and more")
    unsigned = jwt.encode(HEADER, CLAIMS, KEY).rpartition(".")[0] + "."
    for token in (
        jwt.encode(HEADER, CLAIMS, FOREIGN),
        jwt.encode({**HEADER, "kid": "three"}, CLAIMS, FOREIGN),
        jwt.encode({**HEADER, "alg": "HS256"}, CLAIMS, secret),
        jwt.encode({**HEADER, "typ": "JWT"}, CLAIMS, KEY),
        unsigned,
        "",
        "a.b.c",
    ):
        with pytest.raises(RefusedToken):
            read(token)


@pytest.fixture
def product(tmp_path: Path) -> FlaskClient:
    """The product with a provider whose keys it has read already."""
    settings = Settings(
        url="http://localhost",
        secret_key="k" * 40,
        database=str(tmp_path / "product.db"),
        scim_token="",
        issuer="https://acme.example.com",
        client_id="parcels",
        client_secret="unused",
        administrators="administrators",
    )
    app = create_app(settings)
    app.extensions["door"].provider.server_metadata |= {"_loaded_at": 0, "jwks": keys()}
    return app.test_client()


def signed_in(product: FlaskClient, name: str, *sids: str) -> list[FlaskClient]:
    """A provisioned person, signed in by browsers of so many sessions at the provider."""
    store: Store = product.application.extensions["store"]
    with store.begin() as rows:
        rows.execute("INSERT INTO people VALUES (?, ?, NULL, 1, 0, NULL, '{}', 0, 0, 1)", (name, name))
    browsers = []
    for sid in sids:
        browsers.append(product.application.test_client())
        with browsers[-1].session_transaction() as cookie:
            cookie["visit"] = store.open_session(name, expires_at=time.time() + 60, really="Ada", provider_sid=sid)
    return browsers


def told(product: FlaskClient, **change: Any) -> tuple[int, str]:
    """Tell the product of a logout; return its answer, and the token."""
    now = int(time.time())
    claims = {**CLAIMS, "iat": now, "exp": now + 120, **change}
    token = jwt.encode(HEADER, {name: value for name, value in claims.items() if value is not None}, KEY)
    return product.post("/oidc/logout", data={"logout_token": token}).status_code, token


def test_a_logout_ends_the_session_that_it_names_once(product: FlaskClient) -> None:
    """No form's token is needed; another session goes on; the same logout token is not taken again."""
    here, there = signed_in(product, "liferay_online_1_2", "session", "another")
    status, token = told(product)
    assert status == 200
    assert "Password" in here.get("/").text
    assert "really Ada" in there.get("/").text
    assert product.post("/oidc/logout", data={"logout_token": token}).status_code == 400
    assert told(product, iss="https://other.example.com", jti="two", sid="another")[0] == 400
    assert "really Ada" in there.get("/").text


def test_a_logout_without_a_session_ends_all_of_that_person(product: FlaskClient) -> None:
    """Only the provider's sessions, and nobody else's."""
    mine = signed_in(product, "liferay_online_1_2", "session", "another")
    (other,) = signed_in(product, "liferay_online_1_3", "third")
    assert told(product, sid=None)[0] == 200
    assert all("Password" in browser.get("/").text for browser in mine)
    assert "really Ada" in other.get("/").text


def test_the_door_opens_for_its_own_provider_and_with_its_own_state_alone(product: FlaskClient) -> None:
    """Another issuer, none, and an answer that nobody here asked for lead nowhere."""
    for begin in ("", "?iss=https://other.example.com", "?iss=https://acme.example.com/"):
        assert product.get(f"/oidc/start{begin}").status_code == 403
    assert product.get("/oidc/return?code=stolen&state=forged").status_code == 403
    assert product.get("/oidc/return?error=access_denied").status_code == 403
