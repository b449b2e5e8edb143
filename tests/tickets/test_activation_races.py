"""An activation that is late never outlives its end: real threads, in each order that matters (P1, P3, P12)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError
from instances.models import DrillAccount
from tempadmin.db import transaction
from tempadmin.errors import Conflict
from tests.tickets.asked import change
from tests.tickets.directories import PATIENCE
from tests.tickets.faraway import there
from tests.tickets.hanging import end, hanging, remove_due, scene_not_let_in
from tests.tickets.scenes import Scene, assert_nothing_left
from tests.tickets.vault import Vault, is_open, put_in
from tests.world import World
from tickets.activation import activate, activate_due, try_again
from tickets.models import AccessRequest
from tickets.states import State


@pytest.fixture
def vault(world: World) -> Vault:
    return put_in(world)


@pytest.fixture
def scene(world: World, vault: Vault) -> Scene:
    return scene_not_let_in(world, vault)


def test_p1_an_end_while_an_activation_hangs_waits_until_it_returned(world: World, scene: Scene, vault: Vault) -> None:
    """The account is removed at once, and called gone only by a read-back that was made after."""
    with hanging(world, scene, vault) as (called, go):
        end(world, scene)
        assert there(world) == []
        remove_due(world)
        assert world.request(scene.request_id).state == State.ENDING
        go.set()
        assert called.result(PATIENCE) is False
    assert there(world) == []
    assert_nothing_left(world, scene)


def test_p1_a_directory_that_makes_what_it_is_told_to_change_is_cleared_again(
    world: World, scene: Scene, vault: Vault
) -> None:
    """What a late activation made anew there, as some servers do, is found by the second look and goes."""
    with hanging(world, scene, vault) as (called, go):
        end(world, scene)
        assert there(world) == []
        put_back(world, scene)
        remove_due(world)
        assert world.request(scene.request_id).state == State.ENDING
        go.set()
        assert called.result(PATIENCE) is False
    remove_due(world)
    assert there(world) == []
    assert_nothing_left(world, scene)


def put_back(world: World, scene: Scene) -> None:
    """Make the entry again, as a server that takes a change of what is not there for a wish to make it."""
    request = world.request(scene.request_id)
    name, keys = request.account_name or "", world.runtime.keys
    mark = marker.make(request=request.public_id, instance_id=request.instance_id, name=name, keys=keys)
    with transaction() as session:
        session.add(
            DrillAccount(
                instance_id=request.instance_id, name=name, marker=mark, active=True, created_at=world.clock.now()
            )
        )


def test_p1_an_activation_that_never_returns_holds_the_end_until_its_time_passed(
    world: World, scene: Scene, vault: Vault
) -> None:
    """Its process died: so long as it could still take effect nothing is called done, and then it is."""
    with hanging(world, scene, vault) as (called, go):
        end(world, scene)
        world.clock.advance(seconds=9)
        remove_due(world)
        assert world.request(scene.request_id).state == State.ENDING
        world.clock.advance(seconds=1)
        remove_due(world)
        assert world.request(scene.request_id).state == State.ENDED
        go.set()
        assert called.result(PATIENCE) is False
    assert there(world) == []
    assert_nothing_left(world, scene)


def test_p3_an_activation_that_lands_between_disable_and_delete_is_deleted_with_it(
    world: World, scene: Scene, vault: Vault
) -> None:
    """Let in for a moment in the middle of its removal: gone after it, and its password is void."""
    with hanging(world, scene, vault) as (called, go):

        def let_go(_account: Account) -> None:
            go.set()
            called.result(PATIENCE)

        vault.before["delete"] = let_go
        end(world, scene)
        assert vault.steps[-2:] == ["disable", "delete"]
        assert called.result(PATIENCE) is False
    request = world.request(scene.request_id)
    assert (is_open(world, request.account_name), request.sealed_credential, request.activated_at) == (
        False,
        None,
        None,
    )
    assert_nothing_left(world, scene)


def test_p1_two_activations_at_once_end_only_when_both_cannot_act_any_more(
    world: World, scene: Scene, vault: Vault
) -> None:
    """The second one's answer says nothing of the first, which still hangs: the end waits for the later time."""
    with hanging(world, scene, vault) as (called, go):
        world.clock.advance(seconds=8)
        change(AccessRequest, scene.request_id, next_attempt_at=world.clock.now())
        assert activate(request_id=scene.request_id, runtime=world.runtime)
        end(world, scene)
        remove_due(world)
        assert world.request(scene.request_id).state == State.ENDING
        go.set()
        called.result(PATIENCE)
    remove_due(world)
    assert world.request(scene.request_id).state == State.ENDING
    world.clock.advance(seconds=10)
    assert_nothing_left(world, scene)


def test_p1_an_access_that_ended_before_is_let_in_nowhere(world: World, scene: Scene, vault: Vault) -> None:
    """Whoever comes last: the job, Try again, or an attempt that asks a last time whether it is wanted."""
    vault.steps.clear()
    end(world, scene)
    assert activate(request_id=scene.request_id, runtime=world.runtime) is False
    with pytest.raises(Conflict):
        try_again(request_id=scene.request_id, runtime=world.runtime)
    activate_due(world.runtime)
    assert "enable" not in vault.steps
    assert_nothing_left(world, scene)


def test_p4_an_access_at_its_time_limit_is_let_in_no_more(world: World, scene: Scene, vault: Vault) -> None:
    """From that moment on, although no job has ended it yet."""
    request = world.request(scene.request_id)
    change(AccessRequest, scene.request_id, ends_at=world.clock.now(), next_attempt_at=world.clock.now())
    asked = vault.asked
    activate_due(world.runtime)
    assert vault.asked == asked
    assert not is_open(world, request.account_name)


def test_p1_a_permanent_error_of_a_late_attempt_frees_the_end(world: World, scene: Scene, vault: Vault) -> None:
    """The directory says that there is no such account: nothing can take effect any more, so nothing waits."""
    vault.before["enable"] = raising_after(lambda: end(world, scene))
    assert activate(request_id=scene.request_id, runtime=world.runtime) is False
    remove_due(world)
    assert world.request(scene.request_id).state == State.ENDED
    assert_nothing_left(world, scene)


def raising_after(act: Callable[[], object]) -> Callable[[Account], object]:
    def meanwhile(_account: Account) -> None:
        act()
        raise ConnectorError("there is no such account", permanent=True)

    return meanwhile
