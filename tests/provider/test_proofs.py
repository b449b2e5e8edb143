"""Who a client is, and what a token is taken from: the token and the userinfo endpoints (RFC 6749, RFC 6750)."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tempadmin.db import transaction
from tests.provider.product import BACK, Product, connected, refusal
from tests.tempadmin.stage import everything
from tests.world import World
from tickets.provider.models import OidcLogin

pytestmark = pytest.mark.only_sqlite


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def test_a_client_proves_itself_in_one_of_two_ways(product: Product) -> None:
    """Basic and post; without a secret, with a wrong one, by name alone or in the address nobody is anybody."""
    assert product.exchange(product.code(), basic=False).status_code == 200
    code = product.code()
    wrong: list[dict[str, Any]] = [
        {"client_secret": "wrong"}, {"client_secret": None}, {"client_secret": ""}, {"client_id": None},
        {"client_id": "x"},
    ]  # fmt: skip
    for changes in wrong:
        assert refusal(product.exchange(code, basic=False, **changes)) == (401, "invalid_client"), changes
    in_address = {"client_id": product.client_id, "client_secret": product.secret, "code": code}
    answer = product.http.post("/oidc/token", params=in_address, data={"grant_type": "authorization_code"})
    assert refusal(answer) == (401, "invalid_client")
    assert "WWW-Authenticate" in answer.headers
    assert product.exchange(code).status_code == 200


def test_junk_in_the_header_is_a_refusal_and_no_failure(product: Product) -> None:
    """What is not base64, not UTF-8, without a colon or of another kind."""
    for junk in (
        "Basic", "Basic !", "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(), "Basic Og==",
        "Basic " + base64.b64encode(b"no colon").decode(), "Bearer x", "Basic " + "A" * 5000,
    ):  # fmt: skip
        sent = {"Authorization": junk}
        form = {"grant_type": "authorization_code", "code": "\0", "client_id": "\0", "code_verifier": "\ud7ff"}
        answer = product.http.post("/oidc/token", data=form, headers=sent)
        assert (junk, *refusal(answer)) == (junk, 401, "invalid_client")


def test_only_one_grant_is_given_and_nothing_twice(product: Product) -> None:
    """No password, no refresh, no credentials; a parameter that comes twice is not chosen from."""
    for grant in ("password", "refresh_token", "client_credentials", "", None):
        assert refusal(product.exchange("x", grant_type=grant)) == (400, "unsupported_grant_type")
    body = f"grant_type=authorization_code&code=a&code=b&redirect_uri={BACK}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = product.http.post("/oidc/token", content=body, headers=form, auth=(product.client_id, product.secret))
    assert refusal(answer) == (400, "invalid_request")
    assert refusal(product.exchange("never handed out")) == (400, "invalid_grant")
    answer = product.http.post(
        "/oidc/token", data={"grant_type": "authorization_code"}, auth=(product.client_id, product.secret)
    )
    assert refusal(answer) == (400, "invalid_request")
    assert product.http.get("/oidc/token").status_code == 404


def test_s12_wrong_secrets_pause_their_network_and_nobody_else(product: Product) -> None:
    """Five in a row, then even the right one waits there; elsewhere the product logs people in."""
    world = product.world
    for _ in range(5):
        assert product.exchange("x", basic=False, client_secret="wrong").status_code == 401
    code = product.code()
    paused = product.exchange(code)
    assert refusal(paused) == (429, "slow_down")
    assert int(paused.headers["Retry-After"]) == 31
    before = everything(world)
    elsewhere = httpx.WSGITransport(app=product.http._transport.app, remote_addr="192.0.2.9")  # type: ignore[attr-defined]
    with httpx.Client(transport=elsewhere, base_url=product.issuer) as http:
        mine = replace(product)
        mine.http = http
        assert mine.exchange(code).status_code == 200
    assert everything(world) != before
    world.clock.advance(seconds=30)
    assert product.exchange(product.code()).status_code == 200
    for _ in range(4):
        product.exchange("x", basic=False, client_secret="wrong")
    assert product.exchange(product.code()).status_code == 200


def test_userinfo_takes_a_bearers_token_from_the_header_alone(product: Product) -> None:
    """By GET and by POST; in the address, in a form, in a cookie or as another kind it counts for nothing."""
    token = product.tokens()["access_token"]
    header = {"Authorization": f"bearer {token}"}
    assert product.http.post("/oidc/userinfo", headers=header).json() == product.userinfo(token).json()
    before = everything(product.world)
    refused = [
        product.http.get("/oidc/userinfo", params={"access_token": token}),
        product.http.post("/oidc/userinfo", data={"access_token": token}),
        product.http.get("/oidc/userinfo", headers={"Cookie": f"access_token={token}"}),
        *(
            product.http.get("/oidc/userinfo", headers={"Authorization": one})
            for one in (f"Basic {token}", "Bearer ", token)
        ),
        product.userinfo(product.secret),
        product.userinfo(product.code()),
    ]  # fmt: skip
    for answer in refused:
        assert refusal(answer) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert {name for name, rows in everything(product.world).items() if rows != before[name]} == {"oidc_logins"}


def test_s36_a_client_whose_row_is_spoiled_lets_nobody_in(product: Product) -> None:
    """No list, no JSON, no texts: every address refuses."""
    code = product.code()
    for spoiled in ("", "{}", "[1]", "null", '"https://evil.example"'):
        with transaction() as session:
            session.execute(OidcLogin.metadata.tables["oidc_clients"].update().values(redirect_uris=spoiled))
        assert product.exchange(code).status_code == 403
        assert product.browser().get(product.wish()).status_code == 403
