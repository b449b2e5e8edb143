"""S21: what lives in a browser on a host ends when a support session begins there, and nothing else does."""

from __future__ import annotations

import pytest

from tempadmin.accounts import sessions
from tempadmin.db import db
from tests.breakage import write
from tests.tickets.doors import Door, instance_of, open_door, request_of, row_of
from tests.tickets.evidence import faults
from tests.tickets.scenes import Scene, bring, new_scene, sign_in
from tests.world import World
from tickets.models import AccessRequest
from tickets.states import State


@pytest.fixture
def door(world: World) -> Door:
    return open_door(world, new_scene(world, State.READY))


def test_s21_an_ordinary_session_of_this_browser_ends_first(world: World, door: Door) -> None:
    """Its own one on this host, and no other."""
    boss = world.administrator(instance_of(door), "boss@acme.example")
    present, other = sign_in(world, boss), sign_in(world, boss)
    now = world.clock.advance(seconds=3)
    secret = door.enter(world, present=present)
    ended = row_of(world, present, door)
    assert (ended.ended_at, ended.end_reason) == (now, "replaced")
    assert row_of(world, other, door).ended_at is None
    assert row_of(world, secret, door).ended_at is None


@pytest.mark.parametrize("present", ["", "garbage", "support.garbage"])
def test_a_cookie_that_is_none_ends_nothing(world: World, door: Door, present: str) -> None:
    """It is ignored, dead or alive (design §4.5)."""
    assert door.enter(world, present=present).startswith("support.")


def test_a_session_that_has_ended_keeps_its_reason(world: World, door: Door) -> None:
    """It was over before; so was its request."""
    boss = world.administrator(instance_of(door), "boss@acme.example")
    present = sign_in(world, boss)
    before = world.clock.now()
    sessions.sign_out(session_id=row_of(world, present, door).id, runtime=world.runtime)
    world.clock.advance(seconds=3)
    door.enter(world, present=present)
    row = row_of(world, present, door)
    assert (row.ended_at, row.end_reason) == (before, "logout")


@pytest.mark.parametrize("state", [State.ACTIVE, State.ENDED])
def test_s21_a_support_session_of_this_browser_ends_with_its_request(world: World, door: Door, state: State) -> None:
    """Another omniadmin's access in the same browser: replaced, and its account goes; one that is over stays so."""
    second = Scene(0, "", "", door.scene.instance_id, door.scene.web_id)
    guest = world.omniadmin("ben@operator.example", "Ben Ito")
    second.user_id, second.address, second.session = guest.id, guest.email, sign_in(world, guest)
    bring(world, second, State.ACTIVE)
    if state == State.ENDED:
        write("access_requests", "end_reason", "logout", row_id=second.request_id)
        write("access_requests", "state", "ended", row_id=second.request_id)
    now = world.clock.advance(seconds=3)
    door.enter(world, present=second.support)
    db.session.rollback()
    other = db.session.get_one(AccessRequest, second.request_id)
    assert request_of(door).state == State.ACTIVE
    if state == State.ENDED:
        assert (other.end_reason, other.ending_at) == ("logout", None)
        assert row_of(world, second.support, door).end_reason == "replaced"
        return
    assert (other.state, other.end_reason, other.ending_at) == (State.ENDED, "replaced", now)
    assert other.ended_by_name == "Ada Brandt"
    assert sessions.find(second.support, instance_id=door.scene.instance_id, runtime=world.runtime) is None
    assert faults(world) == []
