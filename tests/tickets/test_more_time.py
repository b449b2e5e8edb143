"""More time: asked for once, within the maximum, with a fresh factor and every yes; an end beats it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited
from tests.tickets.asked import (
    ACME,
    HOUR,
    People,
    answers,
    ask,
    at,
    change,
    decide,
    gather,
    go_in,
    go_in_as,
    more,
    more_time,
    outcomes,
    stands,
    state_of,
    told,
    yes,
)
from tests.tickets.evidence import assert_refused, faults, thief
from tests.world import World
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


def test_every_yes_moves_the_end_of_request_and_session_together(
    world: World, people: People, inside: tuple[int, str]
) -> None:
    """Not the first yes; the last one moves both, and the limit job and the page go by the new end."""
    request_id, cookie = inside
    before = at(world.request(request_id).ends_at)
    assert not more(world, request_id, people.ada)
    decide(world, approve_extension, request_id, people.max)
    assert ends(request_id) == [before, before]
    assert state_of(request_id) == "pending"
    decide(world, approve_extension, request_id, people.bea)
    assert ends(request_id) == [before + HOUR, before + HOUR]
    assert (state_of(request_id), stands(world, request_id)[0]) == ("granted", State.ACTIVE)
    for moment, status in ((before, 200), (before + HOUR - timedelta(seconds=1), 200)):
        walk_to(world, cookie, moment)
        expire_due(world.runtime)
        assert thief(world, cookie).get(f"{ACME}/users").status_code == status
    world.clock.time = before + HOUR
    assert_refused(thief(world, cookie))
    expire_due(world.runtime)
    assert stands(world, request_id) == (State.ENDED, EndReason.TIME_LIMIT)
    assert faults(world) == []


def walk_to(world: World, cookie: str, moment: datetime) -> None:
    """Let time pass with a click every quarter of an hour."""
    while world.clock.time < moment:
        world.clock.time = min(moment, world.clock.time + timedelta(minutes=15))
        assert thief(world, cookie).get(f"{ACME}/users").status_code == 200


@pytest.mark.parametrize("first", [None, "rosa"])
def test_any_no_leaves_the_access_as_it_was(
    world: World, people: People, inside: tuple[int, str], first: str | None
) -> None:
    """Its own end stays, and no later yes brings the time back."""
    request_id, cookie = inside
    before = ends(request_id)
    more(world, request_id, people.ada)
    if first:
        decide(world, approve_extension, request_id, people.rosa)
    decide(world, reject_extension, request_id, people.bea, note="Enough.")
    late = [partial(decide, world, how, request_id, people.max) for how in (approve_extension, reject_extension)]
    assert set(outcomes(late)) == {"Conflict"}
    assert (state_of(request_id), ends(request_id)) == ("refused", before)
    assert stands(world, request_id)[0] == State.ACTIVE
    assert thief(world, cookie).get(f"{ACME}/users").status_code == 200
    with pytest.raises(Conflict, match="possible once"):
        more(world, request_id, people.ada)


def test_more_time_is_asked_for_once_and_by_the_requester_alone(
    world: World, people: People, inside: tuple[int, str]
) -> None:
    """While it waits and after it was granted; a colleague's is not there; a demoted requester asks nothing."""
    request_id, _ = inside
    with pytest.raises(NotFound):
        more(world, request_id, people.bea)
    with pytest.raises(NotFound):
        more(world, request_id, people.rosa)
    more(world, request_id, people.ada)
    for step in ("pending", "granted"):
        assert state_of(request_id) == step
        with pytest.raises(Conflict, match="possible once"):
            more(world, request_id, people.ada)
        if step == "pending":
            decide(world, approve_extension, request_id, people.rosa)
            decide(world, approve_extension, request_id, people.bea)
    change(User, people.ada, role="member")
    with pytest.raises(Forbidden):
        more(world, request_id, people.ada)


def test_more_time_stays_within_the_maximum(world: World) -> None:
    """Counted from the beginning: seven more hours at most for one of eight; a second over, none and less are none."""
    people = gather(world)
    request_id, _ = go_in_as(world, people)
    for added in (timedelta(hours=7, seconds=1), timedelta(0), timedelta(milliseconds=500), -HOUR):
        with pytest.raises(Invalid) as caught:
            more(world, request_id, people.ada, added=added)
        assert caught.value.field == "duration"
    for reason in ("short", "x" * 2001, " \x00" * 20):
        with pytest.raises(Invalid):
            more(world, request_id, people.ada, reason=reason)
    assert state_of(request_id) is None
    assert not more(world, request_id, people.ada, added=timedelta(hours=7))


def test_s10_s12_more_time_wants_a_fresh_factor_and_counts_wrong_ones(
    world: World, people: People, inside: tuple[int, str]
) -> None:
    """The code that confirmed is used; a wrong one is counted, stays counted, and five of them make a pause."""
    request_id, _ = inside
    with pytest.raises(Invalid, match="already"):
        more(world, request_id, people.ada, code=world.code())
    assert told(people.acme, "access.wrong_code") == []
    for number in range(5):
        with pytest.raises(Invalid):
            more(world, request_id, people.ada, code="000000")
        assert len(told(people.acme, "access.wrong_code")) == number + 1
    with pytest.raises(RateLimited):
        more(world, request_id, people.ada, code=world.code())
    assert state_of(request_id) is None
    world.clock.advance(seconds=60)
    assert not more(world, request_id, people.ada)
    assert faults(world) == []


def test_s33_a_stale_approve_of_the_request_is_none_for_more_time(
    world: World, people: People, inside: tuple[int, str]
) -> None:
    """The page from before still shows the request's Approve: pressed now, it answers nothing; nor does another id."""
    request_id, _ = inside
    more(world, request_id, people.ada)
    assert set(outcomes([partial(yes, world, request_id, who) for who in (people.rosa, people.max, people.bea)])) == {
        "Conflict"
    }
    other, _ = go_in_as(world, people)
    more(world, other, people.ada)
    found = more_time(other)
    assert found is not None
    with pytest.raises(NotFound):
        decide(world, approve_extension, request_id, people.rosa, key=found.id)
    with pytest.raises(NotFound):
        decide(world, approve_extension, request_id, people.rosa, key=4711)
    assert answers(request_id)[CUSTOMER] is answers(request_id)[OMNIADMIN] is None
    rosas = world.signed_in("rosa@acme.example", ACME)
    rosas.get("/support-access")
    assert rosas.post(f"/support-access/{world.request(request_id).public_id}/approve").status_code == 409
    assert state_of(request_id) == "pending"
