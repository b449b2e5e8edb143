"""P11: what comes before an account's removal is part of each attempt, and keeps nothing from being deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from instances.connectors.base import ConnectorError
from instances.connectors.drill import Fault
from tempadmin.runtime import Runtime
from tests.tickets.evidence import assert_gone
from tests.tickets.faraway import has_fault, scene_elsewhere, there
from tests.tickets.scenes import bring
from tests.world import World
from tickets.before_removal import Step, before_removal
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.states import EndReason, State


def test_p11_a_step_that_fails_keeps_the_request_open_and_not_the_account(world: World) -> None:
    """The account goes at once; its request ends when the step has gone through, asked again with each attempt."""
    scene, answers, asked = scene_elsewhere(world), [RuntimeError(), ConnectorError("not told"), None], list[int]()

    def tell(request_ids: Sequence[int], runtime: Runtime) -> Mapping[int, str]:
        assert there(world) == names
        asked.extend(request_ids)
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return {}

    before_removal(world.app).append(Step(tell))
    bring(world, scene, State.READY)
    names = there(world)
    assert len(names) == 1
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
    assert there(world) == []
    names = []
    for failures, word in ((1, "RuntimeError"), (2, "not told")):
        request = world.request(scene.request_id)
        assert (request.state, request.removal_failures, request.last_error) == (State.ENDING, failures, word)
        world.clock.advance(minutes=1)
        retry_due(world.runtime)
    assert_gone(world, scene.request_id, "cancelled")
    assert asked == [scene.request_id] * 3


@pytest.mark.only_sqlite
def test_p11_the_error_of_the_account_itself_comes_first(world: World) -> None:
    """An account that stays is worse news than a product that was not told; of two steps the first one speaks."""
    scene = scene_elsewhere(world)
    before_removal(world.app).extend([Step(lambda ids, _: {}), *[_says(word) for word in ("first", "second")]])
    bring(world, scene, State.READY)
    has_fault(world, scene, Fault.REFUSES)
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
    assert world.request(scene.request_id).last_error == "the directory refuses"
    has_fault(world, scene, None)
    world.clock.advance(minutes=1)
    retry_due(world.runtime)
    assert world.request(scene.request_id).last_error == "first"
    before_removal(world.app).clear()
    world.clock.advance(minutes=1)
    retry_due(world.runtime)
    assert_gone(world, scene.request_id, "cancelled")


def _says(word: str) -> Step:
    return Step(lambda request_ids, _runtime: dict.fromkeys(request_ids, word))
