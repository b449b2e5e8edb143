"""Logout that begins at the product (RP-Initiated Logout 1.0): proof, exact addresses, and an end like any other."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from tempadmin.db import db
from tempadmin.web.security import SESSION_COOKIE
from tests.provider.product import AFTER, PRODUCT, Product, connected
from tests.tempadmin.stage import everything
from tests.tickets.evidence import assert_gone
from tests.world import World
from tickets.models import Activity
from tickets.provider import keys
from tickets.provider.models import OidcKey
from tickets.states import State

NONE = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def leave(product: Product, **asked: str) -> str:
    return f"{product.issuer}/oidc/logout?{urlencode(asked)}"


def test_a_logout_at_the_product_ends_the_access(product: Product) -> None:
    """As *Log out and delete this account* does: the account goes, the browser goes where the product said."""
    token = product.tokens()["id_token"]
    browser = product.browser()
    answer = browser.get(leave(product, id_token_hint=token, post_logout_redirect_uri=AFTER, state="s &"))
    assert (answer.status_code, answer.headers["Location"]) == (303, AFTER + "?state=s+%26")
    assert_gone(product.world, product.scene.request_id, "logout")
    assert browser.cookie(SESSION_COOKIE, product.scene.host) is None
    db.session.rollback()
    said = [row.did for row in db.session.scalars(select(Activity).order_by(Activity.id))]
    assert said == ["Signed in to the product", "Left, from the product's side"]


def test_p11_it_may_come_late_twice_and_from_the_product_itself(product: Product) -> None:
    """By POST and without a browser; an expired token proves as much; an access that is over is a success."""
    token = product.tokens()["id_token"]
    product.world.clock.advance(days=30)
    form = {"id_token_hint": token, "client_id": product.client_id, "post_logout_redirect_uri": AFTER}
    for _ in range(2):
        answer = product.http.post("/oidc/logout", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (303, AFTER)
    assert product.request.state != State.ACTIVE


@pytest.mark.only_sqlite
def test_no_logout_leads_to_an_address_that_is_not_registered(product: Product) -> None:
    """The access ends all the same, and the browser stays here: no open redirect."""
    token = product.tokens()["id_token"]
    for address in (
        "https://evil.example/", AFTER + "/", AFTER + "?x", AFTER.replace("bye", "Bye"), "//evil.example", "",
        f"{PRODUCT}/callback?from=here", "javascript:alert(1)", AFTER + "\r\nX: y",
    ):  # fmt: skip
        answer = product.browser().get(leave(product, id_token_hint=token, post_logout_redirect_uri=address))
        assert (address, answer.status_code, answer.headers["Location"]) == (address, 303, "/left")
    assert_gone(product.world, product.scene.request_id, "logout")


@pytest.mark.only_sqlite
def test_a_token_that_is_not_ours_for_this_product_ends_nothing(product: Product) -> None:
    """No signature, another key's, a foreign kid, another instance's, one with a letter changed, another client."""
    other = connected(product.world)
    good = product.tokens()["id_token"]
    claims: dict[str, Any] = dict(product.verified(good).claims)
    row = db.session.scalars(select(OidcKey)).one()
    stranger = RSAKey.generate_key(2048, parameters={"kid": row.kid})
    unknown = RSAKey.generate_key(2048, parameters={"kid": "unknown"})
    header, body, signature = good.split(".")
    now, runtime = product.world.clock.now(), product.world.runtime
    tokens = {
        "no signature": f"{header}.{body}.",
        "alg none": f"{NONE}.{body}.",
        "our kid, another key": jwt.encode({"alg": "RS256", "kid": row.kid}, claims, stranger, algorithms=["RS256"]),
        "another kid": jwt.encode({"alg": "RS256", "kid": "unknown"}, claims, unknown, algorithms=["RS256"]),
        "no kid": jwt.encode({"alg": "RS256"}, claims, stranger, algorithms=["RS256"]),
        "our public key as a secret": jwt.encode(
            {"alg": "HS256", "kid": row.kid}, claims, OctKey.import_key(row.public), algorithms=["HS256"]
        ),
        "a letter changed": f"{header}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{signature}",
        "another instance's": other.tokens()["id_token"],
        "another issuer": keys.sign({**claims, "iss": other.issuer}, now=now, runtime=runtime)[0],
        "another audience": keys.sign({**claims, "aud": other.client_id}, now=now, runtime=runtime)[0],
        "nothing": "",
        "junk": "a.b.c",
        "not ASCII": "\u00e9.\u00e9.\u00e9",
        "an access token": product.tokens()["access_token"],
    }
    before = everything(product.world)
    for what, token in tokens.items():
        answer = product.browser().get(leave(product, id_token_hint=token, post_logout_redirect_uri=AFTER))
        assert (what, answer.status_code, "Location" in answer.headers) == (what, 400, False)
        assert (what, product.http.post("/oidc/logout", data={"id_token_hint": token}).status_code) == (what, 400)
    mixed = leave(product, id_token_hint=good, client_id=other.client_id, post_logout_redirect_uri=AFTER)
    assert product.browser().get(mixed).status_code == 400
    assert everything(product.world) == before


@pytest.mark.only_sqlite
def test_a_logout_token_of_another_access_ends_that_one_alone(product: Product) -> None:
    """Whose access ends is what the signed token says, not whose browser shows it."""
    other = connected(product.world)
    token = product.tokens()["id_token"]
    assert other.browser().get(leave(product, id_token_hint=token)).status_code == 303
    assert_gone(product.world, product.scene.request_id, "logout")
    assert other.request.state == State.ACTIVE


@pytest.mark.only_sqlite
def test_without_proof_the_person_is_asked(product: Product) -> None:
    """A link from anywhere ends nothing; the page's own button does, and from there nobody is sent elsewhere."""
    browser = product.browser()
    before = everything(product.world)
    answer = browser.get(leave(product, client_id=product.client_id, post_logout_redirect_uri=AFTER))
    assert answer.status_code == 200
    assert "Log out of" in browser.text
    assert f'href="{PRODUCT}/start"' in browser.page
    posted = product.http.post("/oidc/logout", data={"post_logout_redirect_uri": AFTER})
    assert (posted.status_code, posted.headers["Location"].partition("?")[0]) == (303, "/oidc/logout")
    assert everything(product.world) == before
    answer = browser.post(browser.link(r"/support-session/leave"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/left")
    assert_gone(product.world, product.scene.request_id, "logout")
    answer = product.world.browser(product.issuer).get(leave(product))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/left")
