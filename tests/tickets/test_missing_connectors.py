"""P11: a connector that is not installed concerns its own requests, and holds up no other."""

from __future__ import annotations

from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.tickets.asked import change
from tests.tickets.evidence import assert_gone, events
from tests.tickets.scenes import bring, new_scene
from tests.world import World
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.provision import provision
from tickets.states import EndReason, State


def retry(world: World) -> None:
    """Run the job that goes on with creates and removals, on what the database holds now."""
    db.session.rollback()
    retry_due(world.runtime)


def test_p11_a_connector_that_went_away_ends_what_was_asked(world: World) -> None:
    """Where it is missing nothing is asked; what was asked before ends at once as *could not be made*."""
    scene = new_scene(world)
    connectors(world.app)["elsewhere"] = LocalConnector()
    change(VirtualInstance, scene.instance_id, connector="elsewhere")
    bring(world, scene, State.PROVISIONING)
    del connectors(world.app)["elsewhere"]
    assert provision(request_id=scene.request_id, runtime=world.runtime) is False
    assert_gone(world, scene.request_id, "provisioning_failed")
    assert scene.browser(world).get(scene.page).status_code == 200


def test_p11_a_connector_that_went_away_holds_up_no_other_removal(world: World, acme: VirtualInstance) -> None:
    """Of two removals the one whose connector is gone is postponed and counted; the other is done."""
    world.instance("borealis", connector="elsewhere")
    connectors(world.app)["elsewhere"] = LocalConnector()
    ada = world.signed_in()
    stuck, other = world.ask(ada, "borealis"), world.ask(ada, "acme")
    del connectors(world.app)["elsewhere"]
    for request in (stuck, other):
        end_access(request_id=request.id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    assert_gone(world, other.id, "cancelled")
    world.clock.advance(minutes=1)
    retry(world)
    request = world.request(stuck.id)
    assert request.state == State.ENDING
    assert request.removal_failures == events(stuck.id).count("access.removal_failed") >= 1
    connectors(world.app)["elsewhere"] = LocalConnector()
    world.clock.advance(hours=2)
    retry(world)
    assert_gone(world, stuck.id, "cancelled")
