"""How instances are connected to directories elsewhere, killed at each step."""

from __future__ import annotations

from typing import Any

from instances.connecting import connect_instance, create_connected
from tempadmin.audit.log import SERVICE
from tests.failpoints.stage import Cast, brought, killed
from tests.instances.cabinet import CABINET, GOOD, put_up
from tests.world import World
from tickets.check import check_instance


def beside_a_cabinet(world: World) -> Cast:
    """A customer who keeps the accounts here, and could keep them in a cabinet."""
    put_up(world.app)
    return brought(connector="local")(world)


@killed(beside_a_cabinet)
def connecting_an_instance(world: World, cast: Cast) -> None:
    connect_instance(web_id=cast.scene.web_id, **_facts(world))


@killed(beside_a_cabinet)
def making_a_connected_instance(world: World, cast: Cast) -> None:
    web_id = f"new-{cast.scene.web_id}"
    create_connected(web_id=web_id, name="New", host=f"{web_id}.localhost", **_facts(world))


def _facts(world: World) -> dict[str, Any]:
    facts: dict[str, Any] = {"connector": CABINET, "values": GOOD, "actor": SERVICE, "runtime": world.runtime}
    return facts | {"tell": lambda _step: None}


def at_a_cabinet(world: World) -> Cast:
    """A customer who keeps the accounts in a cabinet."""
    cast = beside_a_cabinet(world)
    connect_instance(web_id=cast.scene.web_id, **_facts(world))
    return cast


@killed(at_a_cabinet)
def checking_an_instance(world: World, cast: Cast) -> None:
    steps = list(check_instance(web_id=cast.scene.web_id, runtime=world.runtime))
    assert [step.error for step in steps if step.error is not None] == []
