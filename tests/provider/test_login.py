"""A login at a product, as OpenID Connect Core 3.1 has it: what goes there, what comes back, what it says."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest
from authlib.oidc.core.grants.util import create_half_hash
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from sqlalchemy import select

from tempadmin.db import db
from tests.provider.product import AFTER, BACK, GROUPS, PRODUCT, Product, connected, speaking_to, told
from tests.tickets.evidence import events
from tests.world import World
from tickets.models import Activity
from tickets.provider.models import OidcLogin


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def test_a_product_is_told_who_it_is_until_when_and_really_whom(product: Product) -> None:
    """The ID token carries everything that a product needs, signed by a published key."""
    answer = product.exchange(product.code())
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    given, request, now = answer.json(), product.request, product.world.clock.now()
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 3600, "openid profile email")
    assert set(given) == {"token_type", "expires_in", "scope", "access_token", "id_token"}
    token = product.verified(given["id_token"])
    assert (token.header["alg"], token.header["typ"]) == ("RS256", "JWT")
    assert request.ends_at is not None
    assert request.confirmed_at is not None
    end = int(request.ends_at.timestamp())
    assert token.claims == {
        "iss": product.issuer,
        "aud": product.client_id,
        "iat": int(now.timestamp()),
        "exp": end,
        "auth_time": int(request.confirmed_at.timestamp()),
        "amr": ["pwd", "otp", "mfa"],
        "nonce": "n-1",
        "at_hash": create_half_hash(given["access_token"], "RS256").decode(),
        **(person := whom(product)),
    }
    info = product.userinfo(given["access_token"])
    assert (info.status_code, info.json()) == (200, person)
    assert info.headers["Cache-Control"] == "no-store"


def whom(product: Product) -> dict[str, Any]:
    """The claims of whoever is inside."""
    request, scene = product.request, product.scene
    assert request.ends_at is not None
    return {
        "sub": request.account_name,
        "sid": scene.public_id,
        "name": "Ada Brandt",
        "preferred_username": request.account_name,
        "email": f"{request.account_name}@liferayonline.com",
        "email_verified": False,
        "groups": list(GROUPS),
        "act": {
            "iss": "http://localhost:8000",
            "sub": str(scene.user_id),
            "name": "Ada Brandt",
            "email": scene.address,
        },
        "access_expires_at": int(request.ends_at.timestamp()),
    }


def test_authlibs_own_client_walks_through(product: Product) -> None:
    """Discovery, PKCE, state, the exchange by both ways to authenticate, userinfo: nothing of ours judges it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have httpx's successor
        from authlib.integrations.httpx_client import OAuth2Client
    found = product.http.get("/.well-known/openid-configuration").json()
    for method in found["token_endpoint_auth_methods_supported"]:
        client = OAuth2Client(
            product.client_id,
            product.secret,
            redirect_uri=BACK,
            scope="openid",
            code_challenge_method="S256",
            token_endpoint_auth_method=method,
            transport=speaking_to(product.world, product.issuer)._transport,
        )
        url, state = client.create_authorization_url(
            found["authorization_endpoint"], code_verifier=product.verifier, nonce="mine"
        )
        answer = product.browser().get(url)
        came = told(answer.headers["Location"])
        assert (came["state"], came["iss"]) == (state, found["issuer"])
        got = client.fetch_token(
            found["token_endpoint"],
            authorization_response=answer.headers["Location"],
            code_verifier=product.verifier,
            state=state,
        )
        claims = product.verified(got["id_token"]).claims
        registry = jwt.JWTClaimsRegistry(
            now=int(product.world.clock.now().timestamp()),
            iss={"essential": True, "value": product.issuer},
            aud={"essential": True, "value": product.client_id},
            nonce={"essential": True, "value": "mine"},
        )
        registry.validate(claims)
        assert client.get(found["userinfo_endpoint"]).json()["sub"] == claims["sub"]
        client.close()


def test_discovery_is_complete_and_says_where_everything_is(product: Product) -> None:
    """Authlib finds nothing missing; every address is one of this instance's own host, and is answered there."""
    found = product.http.get("/.well-known/openid-configuration").json()
    as_https = {
        name: value.replace("http://", "https://") if isinstance(value, str) else value for name, value in found.items()
    }
    OpenIDProviderMetadata(as_https).validate()
    assert found["issuer"] == product.issuer
    for name, address in found.items():
        if name.endswith(("_endpoint", "_uri")):
            assert address.startswith(f"{product.issuer}/oidc/")
            method = "POST" if name == "token_endpoint" else "GET"
            assert product.http.request(method, address).status_code not in (404, 500)
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"]
    assert set(found["claims_supported"]) == set(product.verified(product.tokens()["id_token"]).claims)


@pytest.mark.only_sqlite
def test_an_instance_without_a_client_is_no_issuer(product: Product) -> None:
    """Each address of the provider answers 404 there, and on the console."""
    product.world.instance("other")
    for base in ("http://other.localhost:8000", "http://localhost:8000"):
        http = speaking_to(product.world, base)
        for method, path in (
            ("GET", "/.well-known/openid-configuration"), ("GET", "/oidc/jwks"), ("GET", "/oidc/authorize"),
            ("POST", "/oidc/authorize"), ("POST", "/oidc/token"), ("GET", "/oidc/userinfo"),
            ("POST", "/oidc/userinfo"), ("GET", "/oidc/logout"), ("POST", "/oidc/logout"),
        ):  # fmt: skip
            assert http.request(method, path).status_code == 404, (base, method, path)


def test_a_login_is_told_to_the_customer_in_plain_words(product: Product) -> None:
    """One line of activity for the browser's visit, one event for the exchange; what the product asks leaves none."""
    given = product.tokens()
    product.userinfo(given["access_token"])
    db.session.rollback()
    rows = db.session.scalars(select(Activity).where(Activity.request_id == product.scene.request_id)).all()
    assert [(row.method, row.path, row.status, row.did) for row in rows] == [
        ("GET", "/oidc/authorize", 303, "Signed in to the product")
    ]
    assert events(product.scene.request_id).count("access.signed_in_to_product") == 1


def test_p12_secrets_are_kept_as_digests_alone(product: Product) -> None:
    """Neither the code, the token nor the client's secret stands in the database, and what is kept finds them."""
    code = product.code()
    token = product.exchange(code).json()["access_token"]
    db.session.rollback()
    dump = str([tuple(row) for table in db.metadata.sorted_tables for row in db.session.execute(select(table))])
    for secret in (code, token, product.secret, product.verifier):
        assert secret not in dump
    row = db.session.scalars(select(OidcLogin)).one()
    assert (row.code_digest, row.token_digest) == (
        product.world.runtime.keys.digest("oidc.code", code),
        product.world.runtime.keys.digest("oidc.token", token),
    )
    assert PRODUCT in AFTER


def test_a_worker_without_products_loads_none_of_it() -> None:
    """Authlib and joserfc come with the first product that asks: a start does not wait for them."""
    script = (
        "import sys; import tempadmin.app, tickets, tickets.cli; "
        "print([name for name in ('authlib', 'joserfc', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
