"""How an account will be entered is decided when it is asked for: by its product, its directory, or not at all."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import delete, select

from instances.connectors import registry
from instances.connectors.base import ConnectorError, Entry
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tests.conftest import Build
from tests.tickets.asked import change
from tests.tickets.scenes import Scene, bring, new_scene
from tests.tickets.vault import Vault, put_in, raising, scene_with
from tests.world import CONSOLE, World
from tickets.models import LOGIN, AccessRequest, Ticket
from tickets.provider.models import OidcClient
from tickets.provider.register import Product, register
from tickets.states import State

pytestmark = pytest.mark.only_sqlite  # what pages say does not depend on the database

LOGIN_URI = "https://product.example/sso?tenant=7"


def with_product(world: World, scene: Scene) -> None:
    product = Product(login_uri=LOGIN_URI, redirect_uris=("https://product.example/back",))
    register(instance_id=scene.instance_id, product=product, actor=SERVICE, runtime=world.runtime)


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


@pytest.mark.parametrize(
    ("entry", "products", "expected"),
    [
        (Entry.CREDENTIAL, 0, Entry.CREDENTIAL),
        (Entry.CREDENTIAL, 1, Entry.OIDC),
        (Entry.PANEL, 0, Entry.PANEL),
        (None, 1, Entry.OIDC),
    ],
)
def test_the_way_in_is_the_products_or_else_the_directorys(
    world: World, entry: Entry | None, products: int, expected: Entry
) -> None:
    """Kept with the request: what is registered later changes nothing about it."""
    scene = scene_with(world, put_in(world, entry))
    if products:
        with_product(world, scene)
    bring(world, scene, State.PROVISIONING)
    assert world.request(scene.request_id).entry == expected


def test_nothing_is_asked_where_nobody_could_get_in(world: World) -> None:
    """Said before anything is typed, on the page and by the use case, with what to do."""
    scene = scene_with(world, put_in(world, None))
    ada = scene.browser(world)
    assert ada.get(f"{CONSOLE}/instances/{scene.web_id}/request-access").status_code == 200
    assert f"tempadmin instance client {scene.web_id}" in ada.text
    assert 'name="reason"' not in ada.page
    with pytest.raises(Conflict, match="no product is registered"):
        bring(world, scene, State.PROVISIONING)
    with_product(world, scene)
    ada.get(f"{CONSOLE}/instances/{scene.web_id}/request-access")
    assert "You will be signed in to" in ada.text
    assert 'name="reason"' in ada.page


@pytest.mark.parametrize(
    ("connector", "said"),
    [("nowhere", "there is no connector"), ("lost", r"pip install 'tempadmin\[lost\]'")],
)
def test_a_connector_that_is_not_installed_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch, connector: str, said: str
) -> None:
    """Nothing is asked for that nobody could make; whoever runs the service reads what to install."""
    monkeypatch.setitem(registry.EXTRAS, "lost", "no_such_library.lost:Lost")
    scene = new_scene(world)
    change(VirtualInstance, scene.instance_id, connector=connector)
    with pytest.raises(Conflict, match=said):
        bring(world, scene, State.PROVISIONING)
    ada = scene.browser(world)
    assert ada.get(f"{CONSOLE}/instances/{scene.web_id}/request-access").status_code == 200
    assert "cannot be used, so nothing was asked for" in ada.text


def test_nobody_is_impersonated_where_the_pages_are_not_ours(world: World, vault: Vault) -> None:
    """A directory elsewhere, or a product: no row action, and the page says why; embedded instances are as before."""
    elsewhere, product, embedded = scene_with(world, vault), new_scene(world), new_scene(world)
    with_product(world, product)
    ada = embedded.browser(world)
    ada.get(f"{CONSOLE}/instances?q=customer")
    offered = [one for one in (elsewhere, product, embedded) if f"{one.web_id}/request-impersonation" in ada.page]
    assert offered == [embedded]
    ada.get(f"{CONSOLE}/instances/{embedded.web_id}/request-impersonation")
    token = ada.token
    for scene in (elsewhere, product):
        page = f"{CONSOLE}/instances/{scene.web_id}/request-impersonation"
        ada.get(page)
        assert "Impersonation is possible on embedded instances only" in ada.text
        assert 'name="email"' not in ada.page
        sent = {"email": "x@y.example", "reason": "To see the same page.", "duration": "3600"}
        assert ada.post(page, sent, token=token).status_code == 409


def test_s36_an_entry_that_cannot_be_read_lets_nobody_in(world: World, vault: Vault) -> None:
    """The link's code is burned, no session is opened, and the request's page still opens."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    change(AccessRequest, scene.request_id, entry="by the window")
    browser = scene.browser(world)
    assert browser.get(scene.link, follow=True).status_code == 403
    assert world.request(scene.request_id).state == State.READY
    login = select(Ticket).where(Ticket.request_id == scene.request_id, Ticket.purpose == LOGIN)
    assert db.session.scalars(login).one().code_digest is None
    assert browser.get(scene.page).status_code == 200


def test_whoever_is_let_in_at_a_product_is_led_there_at_once(world: World, vault: Vault) -> None:
    """To where it begins its logins, with our address and the account's name (OpenID Connect Core, 4)."""
    scene = scene_with(world, vault)
    with_product(world, scene)
    bring(world, scene, State.READY)
    browser, back = scene.back(world)
    there = urlsplit(browser.get(back).headers["Location"])
    name = world.request(scene.request_id).account_name
    assert f"{there.scheme}://{there.netloc}{there.path}" == "https://product.example/sso"
    assert parse_qs(there.query) == {"tenant": ["7"], "iss": [scene.base], "login_hint": [name]}
    browser.get(f"{scene.base}/support-session")
    assert there.query.replace("&", "&amp;") in browser.page
    assert "Continue to" in browser.text
    assert browser.post("/support-session/password").status_code == 404


def test_whoever_is_not_let_in_yet_is_led_to_their_page(world: World, vault: Vault) -> None:
    """The product would only say that it knows no such user; here it is said why, with Try again."""
    scene = scene_with(world, vault)
    with_product(world, scene)
    bring(world, scene, State.READY)
    vault.before["enable"] = raising(ConnectorError("the tenant is locked", permanent=True))
    browser = scene.browser(world)
    browser.get(scene.link, follow=True)
    assert browser.url == f"{scene.base}/support-session"
    assert "the tenant is locked" in browser.text
    assert "product.example" not in browser.page


def test_a_product_that_signs_people_in_to_an_embedded_directory_needs_no_activation(build: Build) -> None:
    """The account is in our own table: the redemption lets it in, and the browser goes on to the product."""
    world = build()
    scene = new_scene(world)
    with_product(world, scene)
    bring(world, scene, State.READY)
    browser, back = scene.back(world)
    assert browser.get(back).headers["Location"].startswith(LOGIN_URI)
    request = world.request(scene.request_id)
    assert (request.entry, request.next_attempt_at, request.activated_at) == (Entry.OIDC, None, None)
    db.session.rollback()


def test_a_product_that_is_registered_no_more_is_said(world: World, vault: Vault) -> None:
    """The page has nowhere to lead to; it says so, and the way out is still there."""
    scene = scene_with(world, vault)
    with_product(world, scene)
    bring(world, scene, State.ACTIVE)
    with transaction() as session:
        session.execute(delete(OidcClient))
    browser = scene.browser(world)
    assert browser.get(f"{scene.base}/support-session").status_code == 200
    assert "there is nowhere to sign in" in browser.text
    assert "Log out and delete this account" in browser.text
