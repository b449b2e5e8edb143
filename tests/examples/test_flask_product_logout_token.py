"""Logout tokens that the example believes, and each kind that it does not."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from examples.flask_product.logout_token import EVENT, RefusedToken, verified

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
