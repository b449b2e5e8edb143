"""Junk in the form of a connection: each kind of directory names what is wrong, and nothing falls over."""

from __future__ import annotations

import re
from contextvars import Context
from urllib.parse import quote, quote_from_bytes

import pytest

from instances import connections
from instances.connectors import registry
from instances.models import VirtualInstance
from tests.instances.cabinet import CABINET, put_up
from tests.tempadmin.junk import VALUES
from tests.world import CONSOLE, World

pytestmark = pytest.mark.only_sqlite  # nothing of it comes to the database


@pytest.mark.parametrize("kind", [CABINET, *registry.EXTRAS])
def test_junk_in_every_setting_is_named(world: World, birch: VirtualInstance, kind: str) -> None:
    """All fields at once and each value in turn: 400 with the page, never an error of ours, and nothing is stored."""
    put_up(world.app)
    world.omniadmin()
    ada = world.signed_in()
    url = f"/instances/birch-health/connection?connector={kind}"
    ada.get(url)
    names = set(re.findall(r'name="(setting_\w+)"', ada.page))
    wrong = {}
    for value in VALUES:
        pairs = [f"csrf_token={quote(ada.token)}", *(f"{name}={quote_from_bytes(value)}" for name in sorted(names))]
        sent = {"data": "&".join(pairs), "content_type": "application/x-www-form-urlencoded", "base_url": CONSOLE}
        answer = Context().run(ada.client.post, url, headers={"Origin": CONSOLE}, **sent)
        if answer.status_code not in (400, 413) or b"Traceback" in answer.data:
            wrong[value[:20]] = answer.status_code
    assert (wrong, connections.stored(birch.id)) == ({}, None)
