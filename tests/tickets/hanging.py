"""An activation that hangs just before it takes effect, and what others do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from instances.connectors.base import Account
from instances.connectors.drill import Fault, set_fault
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.tickets.directories import PATIENCE
from tests.tickets.scenes import Scene, bring
from tests.tickets.vault import Vault, scene_with
from tests.world import World
from tickets.activation import activate
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.states import EndReason, State


def scene_not_let_in(world: World, vault: Vault) -> Scene:
    """Somebody is inside here, and their directory was away: the next try is due."""
    scene = scene_with(world, vault)
    bring(world, scene, State.READY)
    set_fault(scene.instance_id, Fault.REFUSES, until=world.clock.now().replace(year=2030))
    bring_in(world, scene)
    set_fault(scene.instance_id, None, until=world.clock.now())
    world.clock.advance(seconds=30)
    return scene


def bring_in(world: World, scene: Scene) -> None:
    browser = scene.browser(world)
    assert browser.get(scene.link, follow=True).status_code == 200
    scene.support = browser.cookie("tempadmin_session", scene.host) or ""
    assert world.request(scene.request_id).activated_at is None


def end(world: World, scene: Scene) -> None:
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)


def remove_due(world: World) -> None:
    """Run the removal job, which begins with what is committed by then."""
    db.session.rollback()
    retry_due(world.runtime)


@contextmanager
def hanging(world: World, scene: Scene, vault: Vault) -> Iterator[tuple[Future[bool], Event]]:
    """An activation that passed its last look and hangs just before it takes effect; yields it, and what lets it go."""
    began, go = Event(), Event()

    def wait(_account: Account) -> None:
        began.set()
        assert go.wait(PATIENCE)

    def call() -> bool:
        with world.app.app_context():
            try:
                return activate(request_id=scene.request_id, runtime=world.runtime)
            finally:
                db.session.remove()

    vault.before["enable"] = wait
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(call)
        assert began.wait(PATIENCE)
        try:
            yield called, go
        finally:
            go.set()
