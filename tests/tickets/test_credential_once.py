"""Try again and Show the password: pressed twice, by two windows at once, or too early (P5, P12)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tempadmin.db import db
from tempadmin.errors import Conflict
from tests.tickets.directories import PATIENCE
from tests.tickets.evidence import faults
from tests.tickets.hanging import hanging, scene_not_let_in
from tests.tickets.scenes import Scene
from tests.tickets.vault import Vault, put_in
from tests.world import World
from tickets import credential
from tickets.activation import activate, try_again


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


@pytest.fixture
def scene(world: World, vault: Vault) -> Scene:
    return scene_not_let_in(world, vault)


def test_trying_again_while_it_is_being_tried_is_told_so(world: World, scene: Scene, vault: Vault) -> None:
    """Two clicks make one attempt; and what is let in already is not let in again."""
    with hanging(world, scene, vault) as (called, go):
        with pytest.raises(Conflict, match="being tried right now"):
            try_again(request_id=scene.request_id, runtime=world.runtime)
        go.set()
        assert called.result(PATIENCE) is True
    with pytest.raises(Conflict, match="already"):
        try_again(request_id=scene.request_id, runtime=world.runtime)
    assert faults(world) == []


def test_p5_of_two_who_ask_for_the_password_at_once_one_gets_it(world: World, scene: Scene, vault: Vault) -> None:
    """A guarded UPDATE takes it out of the row: both windows are the requester's, and one of them shows it."""
    assert activate(request_id=scene.request_id, runtime=world.runtime)

    def ask() -> str | None:
        with world.app.app_context():
            try:
                return credential.show(request_id=scene.request_id, actor=scene.actor, runtime=world.runtime)
            except Conflict:
                return None
            finally:
                db.session.remove()

    db.session.rollback()
    with ThreadPoolExecutor(8) as pool:
        got = [one.result(PATIENCE) for one in [pool.submit(ask) for _ in range(8)]]
    name = world.request(scene.request_id).account_name or ""
    assert [one for one in got if one] == [vault.passwords[name]]
    assert world.request(scene.request_id).sealed_credential is None
