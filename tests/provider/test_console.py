"""The page of an instance's OpenID client: what it shows once, what it refuses, and what it leads to."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tests.browser import Browser
from tests.provider.product import BACK, PRODUCT, connected
from tests.world import CONSOLE, World
from tickets.provider.models import OidcClient

pytestmark = pytest.mark.only_sqlite

PAGE = f"{CONSOLE}/instances/acme/openid"
TYPED = {
    "login_uri": f"{PRODUCT}/start",
    "redirect_uris": f"{BACK}\r\n\r\n {PRODUCT}/other ",
    "groups": "admins\nUnterstützung",
    "backchannel_logout_uri": "",
    "post_logout_redirect_uris": "",
    "ca_file": "",
}


@pytest.fixture
def ada(world: World, acme: VirtualInstance) -> Browser:
    browser = world.signed_in()
    browser.get(PAGE)
    return browser


def secret_on(browser: Browser) -> str | None:
    found = re.search(r'id="client-secret"[^>]* value="([^"]+)"', browser.page)
    return found[1] if found else None


def test_a_product_is_registered_changed_and_removed_on_its_page(ada: Browser, world: World) -> None:
    """The secret stands in the answer that made it alone; a change keeps it; the connection's page leads here."""
    ada.get(f"{CONSOLE}/instances/acme/connection")
    assert ada.link("/instances/acme/openid")
    ada.get(PAGE)
    assert "nobody gets in by OpenID Connect" in ada.text
    assert ada.post(PAGE, TYPED).status_code == 200
    first = secret_on(ada)
    assert first is not None
    ada.get(PAGE)
    assert first not in ada.page
    db.session.rollback()
    row = db.session.scalars(select(OidcClient)).one()
    assert row.redirect_uris == f'["{BACK}", "{PRODUCT}/other"]'
    assert (row.secret_digest, row.ca_file) == (world.runtime.keys.digest("oidc.client-secret", first), None)
    assert ada.post(PAGE, {**TYPED, "groups": ""}).status_code == 200
    assert secret_on(ada) is None
    assert ada.post(f"{PAGE}/secret").status_code == 200
    assert secret_on(ada) not in (None, first)
    assert ada.post(f"{PAGE}/remove", follow=True).status_code == 200
    assert "has no OpenID client any more" in ada.text
    assert ada.post(f"{PAGE}/secret").status_code == 409
    db.session.rollback()
    record = [row for row in db.session.scalars(select(AuditEvent)) if row.event.startswith("oidc.client")]
    assert [(row.event, row.actor_name) for row in record] == [
        (f"oidc.client_{what}", "Ada Brandt") for what in ("registered", "changed", "changed", "removed")
    ]


def test_what_cannot_be_taken_is_said_at_its_field_and_nothing_is_saved(ada: Browser) -> None:
    """Every wrong field comes back with what was typed, and with a sentence."""
    wrong = {
        "login_uri": "http://product.example/", "redirect_uris": "javascript:alert(1)", "groups": "g" * 201,
        "backchannel_logout_uri": "ftp://x", "post_logout_redirect_uris": f"{PRODUCT}/#x", "ca_file": "é no PEM",
    }  # fmt: skip
    for name, value in wrong.items():
        answer = ada.post(PAGE, {**TYPED, name: value})
        assert (name, answer.status_code) == (name, 400)
        assert re.search(f'id="{name}-error">[A-Z][^<]+', ada.page), ada.text
    assert ada.post(PAGE, {**TYPED, "redirect_uris": " "}).status_code == 400
    db.session.rollback()
    assert db.session.scalars(select(OidcClient)).all() == []


def test_a_client_somebody_is_inside_through_is_not_removed(world: World) -> None:
    """The page says why not."""
    product = connected(world)
    bea = world.omniadmin("bea@operator.example", "Bea Lind")
    browser = world.signed_in(bea.email)
    page = f"{CONSOLE}/instances/{product.scene.web_id}/openid"
    browser.get(page)
    assert browser.post(f"{page}/remove").status_code == 409
    assert "are entered through this product" in browser.text
    assert browser.get(f"{CONSOLE}/instances/nowhere/openid").status_code == 404
