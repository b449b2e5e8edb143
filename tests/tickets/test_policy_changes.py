"""S23: a policy that became tighter, by the customer's hand or at a restart, holds at once for what is open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound
from tests.conftest import Build
from tests.tickets.asked import (
    ACME,
    HOUR,
    People,
    acting,
    ask,
    ask_user,
    change,
    confirmed,
    entering,
    gather,
    go_in,
    go_in_as,
    go_on,
    stands,
    told,
    yes,
)
from tests.tickets.evidence import assert_refused, faults, thief
from tests.world import World
from tickets.change_policy import change_policy
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.start import start
from tickets.states import OPEN, EndReason, State

CHANGED = EndReason.POLICY_CHANGED


def tighten(
    world: World, people: People, *, ask_first: bool = False, longest: timedelta | None = None, by: int = 0
) -> int:
    """Change the policy as Rosa, or as somebody else."""
    return change_policy(
        acting=acting(by or people.rosa), require_customer=ask_first, longest=longest, runtime=world.runtime
    )


@pytest.mark.parametrize("until", ["provisioning", "awaiting confirmation", "active"])
def test_s23_ask_first_ends_what_was_not_asked(world: World, until: str) -> None:
    """Wherever the access stands: over in the same moment, and its cookie worth nothing on the next request."""
    people = gather(world)
    request_id, cookie = ask(world, people.ada), None
    if until != "provisioning":
        assert provision(request_id=request_id, runtime=world.runtime)
    if until == "active":
        cookie = go_on(world, request_id, people.ada)
        assert thief(world, cookie).get(f"{ACME}/users").status_code == 200
    assert tighten(world, people, ask_first=True) == 1
    assert stands(world, request_id) == (State.ENDED, CHANGED)
    if cookie is not None:
        assert_refused(thief(world, cookie))
    assert tighten(world, people, ask_first=True) == 0
    assert faults(world) == []


def test_s23_ask_first_leaves_what_the_customer_agreed_to_or_is_asked(world: World) -> None:
    """An access with the customer's yes goes on, a question stays a question; switching it off ends nothing."""
    people = gather(world, require_customer=True)
    inside, pending = ask(world, people.ada), ask(world, people.bea)
    yes(world, inside, people.rosa)
    go_in(world, inside, people.ada)
    assert tighten(world, people, ask_first=False) == 0
    assert tighten(world, people, ask_first=True) == 0
    assert (stands(world, inside)[0], stands(world, pending)[0]) == (State.ACTIVE, State.PENDING_APPROVAL)
    with pytest.raises(Conflict):
        start(request_id=pending, user_id=people.bea, runtime=world.runtime)


def test_s23_a_lower_maximum_ends_what_is_longer_and_nothing_else(world: World) -> None:
    """Of both kinds, pending and inside; an access of exactly the new maximum stays."""
    people = gather(world)
    long_pending = ask_user(world, people.bea, duration=2 * HOUR)
    fits, cookie = go_in_as(world, people, duration=HOUR)
    assert tighten(world, people, longest=HOUR) == 1
    assert stands(world, long_pending) == (State.ENDED, CHANGED)
    assert stands(world, fits)[0] == State.ACTIVE
    assert tighten(world, people, longest=HOUR - timedelta(seconds=1)) == 1
    assert stands(world, fits) == (State.ENDED, CHANGED)
    assert_refused(thief(world, cookie))
    with pytest.raises(Invalid, match="59 minutes at most"):
        ask(world, people.ada)


@pytest.mark.parametrize("who", ["liam", "stranger", "omniadmin", "support", "unvouched", "temporary", "deactivated"])
def test_s25_s33_only_a_trusted_administrator_of_the_instance_changes_its_policy(world: World, who: str) -> None:
    """The use case refuses by itself, whoever comes by whatever way; nothing is changed or ended."""
    people = gather(world)
    request_id = ask(world, people.ada)
    stranger = world.administrator(world.instance("birch"), "stan@birch.example").id
    flaws: dict[str, dict[str, object]] = {
        "unvouched": {"made_in_request_id": request_id},
        "deactivated": {"active": False},
    }
    change(User, people.rosa, **flaws.get(who, {}))
    if who == "temporary":
        provision(request_id=request_id, runtime=world.runtime)
        change(User, world.request(request_id).subject_id or 0, active=True)
    other = {"liam": people.liam, "stranger": stranger, "omniadmin": people.ada}
    whom = world.request(request_id).subject_id or other.get(who, people.rosa)
    one = acting(whom, request_id=request_id if who == "support" else None)
    one = one.__class__(user_id=whom, instance_id=people.acme, actor=one.actor, request_id=one.request_id)
    with pytest.raises(Forbidden):
        change_policy(acting=one, require_customer=True, longest=None, runtime=world.runtime)
    db.session.rollback()
    assert not db.session.get_one(VirtualInstance, people.acme).require_customer
    assert State(stands(world, request_id)[0]) in OPEN
    assert told(people.acme, "policy.changed") == []


@pytest.mark.parametrize("longest", [timedelta(0), timedelta(seconds=-1), timedelta(hours=8, seconds=1)])
def test_a_maximum_above_the_operators_or_below_a_second_is_none(world: World, longest: timedelta) -> None:
    """The operator's own maximum is only ever lowered."""
    people = gather(world)
    with pytest.raises(Invalid):
        tighten(world, people, longest=longest)
    assert tighten(world, people, longest=timedelta(hours=8)) == 0


def test_the_operators_switches_are_added_to_and_never_taken_from(build: Build) -> None:
    """With require_customer for all, an instance that switches it off is asked all the same."""
    world = build(require_customer=True)
    people = gather(world)
    tighten(world, people, ask_first=False)
    request_id = ask(world, people.ada)
    assert stands(world, request_id)[0] == State.PENDING_APPROVAL
    with pytest.raises(NotFound):
        start(request_id=request_id, user_id=people.rosa, runtime=world.runtime)


@pytest.mark.parametrize("switch", ["require_customer", "require_omniadmin", "max_duration"])
def test_settings_that_want_more_since_a_restart_refuse_start(build: Build, switch: str) -> None:
    """A yes of one side was enough when it was given; it is not any more, and what was asked stays refused."""
    world = build()
    sides = {"require_omniadmin": True} if switch == "require_customer" else {"require_customer": True}
    people = gather(world, **sides)
    request_id = ask(world, people.ada, duration=2 * HOUR)
    yes(world, request_id, people.bea if switch == "require_customer" else people.rosa)
    db.session.rollback()
    stricter = build(clock=world.clock, **{switch: HOUR if switch == "max_duration" else True})
    with pytest.raises(Conflict, match="The policy of this instance"):
        start(request_id=request_id, user_id=people.ada, runtime=stricter.runtime)
    assert stands(stricter, request_id)[0] == State.APPROVED


@pytest.mark.parametrize("switch", ["require_omniadmin", "max_duration"])
def test_settings_that_want_more_since_a_restart_refuse_redemption(build: Build, switch: str) -> None:
    """The one-time link was shown before the restart: nobody gets in by it, and nothing was activated."""
    world = build()
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada, duration=2 * HOUR)
    yes(world, request_id, people.rosa)
    key = confirmed(world, request_id, people.ada)
    db.session.rollback()
    stricter = build(clock=world.clock, **{switch: HOUR if switch == "max_duration" else True})
    with pytest.raises(Conflict, match="The policy of this instance"):
        entering(stricter, request_id, people.ada, key)()
    assert stands(stricter, request_id)[0] == State.READY
    account = db.session.get_one(User, stricter.request(request_id).subject_id or 0)
    assert not account.active


def test_a_users_consent_is_enough_whatever_the_operator_switched_on_since(build: Build) -> None:
    """Impersonation asks the subject and nobody else (design §2), so the switches do not stand in its way."""
    world = build()
    people = gather(world)
    request_id = ask_user(world, people.ada)
    yes(world, request_id, people.liam)
    stricter = build(clock=world.clock, require_customer=True, require_omniadmin=True)
    go_in(stricter, request_id, people.ada)
    assert stands(stricter, request_id)[0] == State.ACTIVE
    assert db.session.get_one(AccessRequest, request_id).subject_id == people.liam
