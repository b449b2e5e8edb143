"""An old part of the record is pruned, and whoever prunes it is killed at each step."""

from __future__ import annotations

from datetime import timedelta

from tempadmin.audit.queries import verify
from tests.failpoints.stage import Cast, brought, killed
from tests.tempadmin.pruned import archive_of, prune_all
from tests.world import World
from tickets.end import end_access
from tickets.states import EndReason, State


def an_old_access(world: World) -> Cast:
    """An access of long ago in which something was done, and the file that is to take its record."""
    cast = brought(State.ACTIVE)(world)
    scene = cast.scene
    assert scene.browser(world).get(f"{scene.base}/users").status_code == 200
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=scene.actor, runtime=world.runtime)
    assert world.request(scene.request_id).state == State.ENDED
    world.clock.advance(days=40)
    cast.held["before"] = world.clock.now() - timedelta(days=35)
    return cast


@killed(an_old_access, everywhere=True)
def pruning_the_record(world: World, cast: Cast) -> None:
    only = cast.scene.instance_id
    assert list(verify(instance_id=only, runtime=world.runtime)) == []
    file = archive_of(world).with_name(f"{cast.scene.web_id}.jsonl")
    prune_all(world, file, before=cast.held["before"], only=only)
    assert list(verify(instance_id=only, runtime=world.runtime)) == []
