"""A whole access to a product that lives in an LDAP directory, with binds as the product makes them."""

from __future__ import annotations

import re

import pytest

from instances.connectors.marker import request_in
from instances.models import VirtualInstance
from tempadmin.db import transaction
from tests.instances.ldap_directory import connect
from tests.instances.ldap_server import ADMIN, Server, binds, closing_ldap, need_ldap, server
from tests.world import CONSOLE, World
from tickets.states import State

pytestmark = [pytest.mark.only_sqlite, pytest.mark.ldap]


@pytest.fixture
def directory() -> Server:
    need_ldap()
    return server()


def test_p1_p12_an_access_to_a_directory_from_the_request_to_the_end(
    world: World, acme: VirtualInstance, directory: Server
) -> None:
    """Shut until the link is used, open to the password that is shown once, and gone at the end with all of it."""
    place = directory.new_place()
    with transaction() as session:
        session.get_one(VirtualInstance, acme.id).connector = "ldap"
    connect(world, acme, directory.settings(place, sign_in_at="https://acme.example/login"))
    browser = world.signed_in()
    request = world.ask(browser, "acme")
    dn = f"uid={request.account_name},{place}"
    with closing_ldap(directory.as_manager()) as manager:
        ((_, entry),) = manager.search_s(dn, 0)
    assert "userPassword" not in entry
    (mark,) = entry["description"]
    name = request.account_name or ""
    assert request_in(mark.decode(), instance_id=acme.id, name=name, keys=world.runtime.keys) == request.public_id
    browser.get(world.confirm(browser), follow=True)
    assert browser.url.endswith("/support-session")
    assert "https://acme.example/login" in browser.text
    browser.post("/support-session/password")
    found = re.search(r'id="password"[^>]*value="([^"]+)"', browser.page)
    assert found is not None
    password = found[1]
    assert binds(directory, dn, password)
    with closing_ldap(directory.signed_in(dn, password)) as theirs:
        theirs.add_s(f"ou=left,{place}", [("objectClass", [b"organizationalUnit"])])
    browser.get("/support-session")
    assert password not in browser.page
    browser.post("/support-session/leave", follow=True)
    assert not binds(directory, dn, password)
    browser.get(f"{CONSOLE}/access/{request.public_id}")
    assert f"entry ou=left,{place}" in browser.text
    ended = world.request(request.id)
    assert (ended.state, ended.last_error) == (State.ENDED, None)
    with closing_ldap(directory.as_manager()) as manager:
        ((_, group),) = manager.search_s(f"cn=admins,{place}", 0)
    assert group["member"] == [ADMIN.encode()]
