"""Support in a customer's product: in by OpenID Connect, made by SCIM, out from either side, and nothing is left."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from examples.flask_product.store import Store
from tests.examples.connected import GROUP, OWN, Connected, connected
from tests.loopback import Visitor
from tests.tickets.servers import wait_for

HERE = r"You are (liferay_online_\d+_\d+), really Op, until [0-9-]+ [0-9:]+ UTC\b"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    with connected(tmp_path_factory.mktemp("connected"), operators=5, default_duration="4") as running:
        store = Store(str(running.database), administrators=GROUP)
        store.add_person(OWN, display_name="Rosa Vidal", password="a sentence is good", administrator=True)
        yield running


@pytest.fixture
def ada(both: Connected) -> Iterator[Visitor]:
    """Somebody of support; afterwards nothing of hers is left, and the product's own people are as before."""
    before = both.people()
    with both.support() as visitor:
        yield visitor
    wait_for(both.server.nothing_is_left, 30)
    assert both.people() == before
    assert set(before) == {OWN}


def enter(both: Connected, ada: Visitor, **details: str) -> str:
    """Walk in; return the SCIM address of the account."""
    ada.get(both.ask(ada, **details))
    assert ada.url == f"{both.product}/"
    with closing(sqlite3.connect(both.database)) as rows:
        found = rows.execute("SELECT id FROM people WHERE user_name = ?", (ada.said(HERE),)).fetchone()
    return f"/Users/{found[0]}"


def test_p1_support_works_in_the_product_and_signing_out_there_leaves_nothing(both: Connected, ada: Visitor) -> None:
    """Into the product and its administrators' page; its own Sign out ends the access here and removes the account."""
    account = enter(both, ada)
    ada.get("/admin")
    assert "Rosa" in ada.text
    assert both.scim(account) == 200
    ada.post("/sign-out")
    assert ada.url.startswith(f"{both.product}/?state=")
    assert "Password" in ada.page
    wait_for(both.server.nothing_is_left, 30)
    assert both.scim(account) == 404
    assert both.server.rows("SELECT end_reason FROM access_requests ORDER BY id DESC LIMIT 1")[0].end_reason == "logout"
    ada.get(f"{both.issuer}/support-session")
    assert ada.url.endswith("/login")


def test_s20_an_end_here_ends_the_products_session_at_once(both: Connected, ada: Visitor) -> None:
    """Back-channel logout: before the answer to End access, the product knows that visitor no more."""
    account = enter(both, ada)
    story = f"http://localhost:{both.server.port}/access/"
    newest = both.server.rows("SELECT public_id FROM access_requests ORDER BY id DESC LIMIT 1")[0].public_id
    ada.get(story + newest)
    ada.post(f"{story}{newest}/end")
    told = both.database.parent / "product.log"
    assert 'POST /oidc/logout HTTP/1.1" 200' in told.read_text()
    ada.get(f"{both.product}/admin", status=403)
    wait_for(lambda: both.scim(account) == 404, 30)


def test_p6_at_the_time_limit_the_product_lets_nobody_on(both: Connected, ada: Visitor) -> None:
    """The product ends the visit by itself at the moment that it was told, and the account goes within 30 s."""
    begun = time.monotonic()
    account = enter(both, ada, duration="4")
    wait_for(lambda: "Password" in (ada.get(f"{both.product}/") and ada.page), 6)
    assert time.monotonic() - begun < 10
    wait_for(lambda: both.scim(account) == 404, 30)


def test_nobody_else_gets_in_through_the_products_client(both: Connected, ada: Visitor) -> None:
    """Neither a stranger, nor an omniadmin without access, nor whoever brings another issuer, state or code."""
    enter(both, ada)
    begin = f"{both.product}/oidc/start?iss={both.issuer}"
    with Visitor() as stranger, both.support() as jon:
        for somebody in (stranger, jon):
            somebody.get(begin, status=403)
            assert "You were not let in" in somebody.text
            somebody.get(f"{both.product}/admin", status=403)
        stranger.get(f"{both.product}/oidc/start?iss=http://elsewhere.localhost", status=403)
        codes = [line for line in ada.trail if "/oidc/return?code=" in line]
        stranger.get(codes[-1].partition(" GET ")[2], status=403)  # hers, in another browser
        ada.get(codes[-1].partition(" GET ")[2], status=403)  # in hers, but used
    ada.get(f"{both.product}/")
    assert ada.said(HERE)
    ada.post("/sign-out")
