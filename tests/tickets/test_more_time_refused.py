"""More time that nobody may grant any more: own answers, ends, a tighter policy."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.errors import Conflict, Forbidden, NotFound
from tests.conftest import Build
from tests.tickets.asked import (
    People,
    acting,
    answers,
    ask,
    at,
    change,
    decide,
    gather,
    go_in,
    more,
    more_time,
    outcomes,
    stands,
    state_of,
    yes,
)
from tests.tickets.evidence import assert_refused, thief
from tests.world import World
from tickets.change_policy import change_policy
from tickets.end import end_access
from tickets.expire import expire_due
from tickets.extend import approve_extension, reject_extension
from tickets.models import AccessRequest
from tickets.states import EndReason, State

CUSTOMER, OMNIADMIN = ("customer", True), ("omniadmin", True)


@pytest.fixture
def people(world: World) -> People:
    return gather(world, require_customer=True, require_omniadmin=True)


@pytest.fixture
def inside(world: World, people: People) -> tuple[int, str]:
    """Ada inside with both yeses; the request's id and the session's secret."""
    request_id = ask(world, people.ada)
    yes(world, request_id, people.rosa, people.bea)
    return request_id, go_in(world, request_id, people.ada)


def ends(request_id: int) -> list[object]:
    """When request and session end."""
    db.session.rollback()
    query = select(LoginSession.expires_at).where(LoginSession.access_request_id == request_id)
    return [db.session.get_one(AccessRequest, request_id).ends_at, *db.session.scalars(query)]


@pytest.mark.parametrize("who", ["ada", "her other account", "liam", "support", "unvouched"])
def test_p9_s33_more_time_is_granted_by_nobody_who_could_not_approve(
    world: World, people: People, inside: tuple[int, str], who: str
) -> None:
    """The same judgement as for the request itself."""
    request_id, _ = inside
    more(world, request_id, people.ada)
    if who == "her other account":
        change(User, people.rosa, email="ada@operator.example")
    if who == "unvouched":
        change(User, people.rosa, made_in_request_id=request_id)
    one = acting({"ada": people.ada, "liam": people.liam}.get(who, people.rosa))
    if who == "support":
        one = acting(people.rosa, request_id=request_id)
    found = more_time(request_id)
    assert found is not None
    for how in (approve_extension, reject_extension):
        with pytest.raises((Forbidden, NotFound)):
            how(request_id=request_id, extension_id=found.id, acting=one, runtime=world.runtime)
    assert (answers(request_id)[CUSTOMER], state_of(request_id)) == (None, "pending")


@pytest.mark.parametrize("end", ["ended", "time"])
def test_p3_an_end_voids_the_wish(world: World, people: People, inside: tuple[int, str], end: str) -> None:
    """Ended by hand, or at its time although no job has run: no yes brings it back; the job voids what is left."""
    request_id, cookie = inside
    more(world, request_id, people.ada)
    if end == "ended":
        end_access(request_id=request_id, reason=EndReason.ENDED_BY_CUSTOMER, actor=SERVICE, runtime=world.runtime)
        assert state_of(request_id) == "void"
    else:
        world.clock.time = at(world.request(request_id).ends_at)
    late = [
        partial(decide, world, how, request_id, who)
        for how in (approve_extension, reject_extension)
        for who in (people.rosa, people.bea)
    ]
    assert set(outcomes(late)) == {"Conflict"}
    with pytest.raises(Conflict):
        more(world, request_id, people.ada)
    expire_due(world.runtime)
    assert state_of(request_id) == "void"
    assert stands(world, request_id)[0] == State.ENDED
    assert_refused(thief(world, cookie))


def test_s23_a_policy_that_became_tighter_voids_the_wish_and_leaves_the_access(world: World) -> None:
    """A maximum that the access keeps to and the wish does not; the customer's yes that the wish never asked for."""
    people = gather(world, require_customer=True, require_omniadmin=True)
    for step in ("maximum", "ask first"):
        request_id = ask(world, people.ada)
        yes(world, request_id, people.rosa, people.bea)
        go_in(world, request_id, people.ada)
        if step == "ask first":
            change_policy(acting=acting(people.rosa), require_customer=False, longest=None, runtime=world.runtime)
        more(world, request_id, people.ada)
        longest = timedelta(minutes=90) if step == "maximum" else None
        ended = change_policy(acting=acting(people.rosa), require_customer=True, longest=longest, runtime=world.runtime)
        assert (ended, state_of(request_id), stands(world, request_id)[0]) == (0, "void", State.ACTIVE)
        with pytest.raises(Conflict):
            decide(world, approve_extension, request_id, people.bea)
        end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
        change_policy(acting=acting(people.rosa), require_customer=True, longest=None, runtime=world.runtime)


@pytest.mark.parametrize("switch", ["max_duration", "require_omniadmin"])
def test_settings_that_want_more_since_a_restart_refuse_more_time(build: Build, switch: str) -> None:
    """Asked for under the old settings, answered under the new: not granted, and the access goes on to its end."""
    world = build()
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada)
    yes(world, request_id, people.rosa)
    go_in(world, request_id, people.ada)
    more(world, request_id, people.ada)
    before = ends(request_id)
    stricter = build(clock=world.clock, **{switch: timedelta(minutes=90) if switch == "max_duration" else True})
    with pytest.raises(Conflict, match="does not allow this any more"):
        decide(stricter, approve_extension, request_id, people.rosa)
    assert (state_of(request_id), ends(request_id)) == ("pending", before)
