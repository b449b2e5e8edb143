"""The whole way to a real product: asked, confirmed, let in, a password shown and used, left, gone, on record."""

from __future__ import annotations

import re
from contextlib import closing

import psycopg
import pytest

from instances.connectors.base import Account
from instances.models import VirtualInstance
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tests.instances.conftest import maker_of_temporary_administrators
from tests.instances.postgresql_directory import Roles, entered, look
from tests.tickets.asked import change
from tests.tickets.evidence import events, faults
from tests.tickets.scenes import bring, new_scene
from tests.world import World
from tickets import belongings
from tickets.states import State

SHOWN = re.compile(r'id="password" type="text" value="([^"]+)"')


@pytest.mark.only_sqlite
def test_p1_p12_all_the_way_to_a_postgresql_role(world: World) -> None:
    """What the page shows signs in there, as long as the access lasts; what was made is handed over and told."""
    world.clock.time = SystemClock().now()  # the server has its own clock, and enforces the end
    scene = new_scene(world)
    Roles(world, db.session.get_one(VirtualInstance, scene.instance_id), maker_of_temporary_administrators(world))
    change(VirtualInstance, scene.instance_id, connector="postgresql")
    bring(world, scene, State.READY)
    name = world.request(scene.request_id).account_name or ""
    role = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"
    assert look(role, name) == [(False,)]

    browser = scene.browser(world)
    assert browser.get(scene.link, follow=True).status_code == 200, browser.trail
    assert f"user={name}" in browser.text
    browser.post("/support-session/password")
    found = SHOWN.search(browser.page)
    assert found is not None, browser.text
    who = Account(instance_id=scene.instance_id, user_id=0, request_id=0, name=name, email="", marker="")
    with closing(entered(who, found[1])) as session:
        session.execute("CREATE TABLE public.invoices (number integer)")
        browser.get(f"{scene.base}/support-session")
        browser.post("/support-session/leave", follow=True)
        assert look(role, name) == []
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        entered(who, found[1])
    request = world.request(scene.request_id)
    assert request.state == State.ENDED, request.last_error
    assert "table public.invoices" in (belongings.told(request) or "")
    assert events(request.id)[-5:] == [
        "access.activated",
        "access.credential_shown",
        "access.ending",
        belongings.FOUND,
        "access.ended",
    ]
    assert faults(world) == []
