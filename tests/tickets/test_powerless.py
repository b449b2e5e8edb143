"""Whoever lost the role by hand does not go on with their request, at any of its steps, below the pages too (P5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tempadmin.errors import Forbidden
from tests.breakage import write
from tests.tickets.scenes import HOUR, Scene, new_scene
from tests.world import World
from tickets.confirm import confirm, new_sign_in_link, send_again
from tickets.extend import extend
from tickets.start import start
from tickets.states import State

Step = Callable[[Scene, World], object]
STEPS: dict[str, tuple[State, Step]] = {
    "start": (
        State.PROVISIONING,  # there is nothing to start any more, but whose it is comes first
        lambda scene, world: start(request_id=scene.request_id, user_id=scene.user_id, runtime=world.runtime),
    ),
    "send again": (
        State.AWAITING_CONFIRMATION,
        lambda scene, world: send_again(request_id=scene.request_id, user_id=scene.user_id, runtime=world.runtime),
    ),
    "confirm": (
        State.AWAITING_CONFIRMATION,
        lambda scene, world: confirm(
            key=scene.confirm_key, user_id=scene.user_id, answer=world.code(), runtime=world.runtime
        ),
    ),
    "new link": (
        State.READY,
        lambda scene, world: new_sign_in_link(
            request_id=scene.request_id, user_id=scene.user_id, runtime=world.runtime
        ),
    ),
    "extend": (
        State.ACTIVE,
        lambda scene, world: extend(
            request_id=scene.request_id,
            user_id=scene.user_id,
            reason="More to do.",
            added=HOUR,
            answer=world.next_code(),
            runtime=world.runtime,
        ),
    ),
}


@pytest.mark.parametrize(("column", "value"), [("role", "administrator"), ("active", False)])
@pytest.mark.parametrize("step", STEPS)
def test_p5_whoever_lost_the_role_by_hand_goes_on_nowhere(step: str, column: str, value: object, world: World) -> None:
    """A code that is right does not help; nothing is written."""
    until, go_on = STEPS[step]
    scene = new_scene(world, until)
    write("users", column, value, row_id=scene.user_id)
    with pytest.raises(Forbidden, match=r"^Only active omniadmins can go on with a request\.$"):
        go_on(scene, world)
    assert world.request(scene.request_id).state == until
