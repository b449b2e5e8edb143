"""Approving and rejecting: each side for itself, any no ends it, and what was decided or ended never opens again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from tempadmin.audit.log import SERVICE
from tempadmin.errors import Conflict, NotFound
from tests.conftest import Build
from tests.tickets.asked import (
    People,
    answers,
    ask,
    ask_user,
    at,
    begin,
    gather,
    go_in,
    no,
    outcomes,
    stands,
    told,
    yes,
)
from tests.tickets.evidence import faults
from tests.world import World
from tickets.asking import AlreadyOpen
from tickets.end import end_access
from tickets.expire import expire_due
from tickets.queries import approvals_of
from tickets.start import start
from tickets.states import EndReason, State

CUSTOMER, OMNIADMIN = ("customer", False), ("omniadmin", False)


@pytest.fixture
def people(world: World) -> People:
    """Acme asks its customer and needs a second omniadmin."""
    return gather(world, require_customer=True, require_omniadmin=True)


def cancel(world: World, request_id: int) -> None:
    end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)


@pytest.mark.parametrize("customer_first", [True, False])
def test_each_side_needs_its_own_yes(world: World, people: People, *, customer_first: bool) -> None:
    """One yes, whoever's, lets nothing go on; a second of the same side is refused; the other's completes it."""
    request_id = ask(world, people.ada)
    first, again, last = (
        (people.rosa, people.max, people.bea) if customer_first else (people.bea, people.bea, people.rosa)
    )
    yes(world, request_id, first)
    assert stands(world, request_id)[0] == State.PENDING_APPROVAL
    with pytest.raises(Conflict, match="approved this already"):
        yes(world, request_id, again)
    with pytest.raises(Conflict):
        start(request_id=request_id, user_id=people.ada, runtime=world.runtime)
    yes(world, request_id, last)
    assert stands(world, request_id)[0] == State.APPROVED
    assert answers(request_id) == {CUSTOMER: "approved", OMNIADMIN: "approved"}
    assert [event.actor_id for event in told(people.acme, "access.approved")] == [first, last]
    assert faults(world) == []


@pytest.mark.parametrize("side", ["customer", "omniadmin"])
@pytest.mark.parametrize("after_a_yes", [False, True])
def test_any_no_ends_it(world: World, people: People, side: str, *, after_a_yes: bool) -> None:
    """Before and after the other side's yes; the note is kept, no account was ever made."""
    request_id = ask(world, people.ada)
    who, other = (people.rosa, people.bea) if side == "customer" else (people.bea, people.rosa)
    if after_a_yes:
        yes(world, request_id, other)
    no(world, request_id, who, note="Not this week.")
    assert stands(world, request_id) == (State.ENDED, EndReason.REJECTED)
    rows = {row.side: row for row in approvals_of(world.request(request_id))}
    assert (rows[side].decision, rows[side].note, rows[side].decided_by_id) == ("rejected", "Not this week.", who)
    with pytest.raises(Conflict):
        yes(world, request_id, other)
    assert world.request(request_id).subject_id is None


Late = Callable[[World, People, int], object]
ENDS: dict[str, Late] = {
    "rejected": lambda world, people, key: no(world, key, people.rosa),
    "cancelled": lambda world, _, key: cancel(world, key),
    "lapsed": lambda world, _, key: (world.clock.advance(hours=24), expire_due(world.runtime)),
}


@pytest.mark.parametrize("ended", ["rejected", "cancelled", "lapsed"])
def test_what_was_decided_or_ended_never_opens_again(world: World, people: People, ended: str) -> None:
    """Whoever presses whatever afterwards, twice: refused, and nothing but the refusal happened."""
    request_id = ask(world, people.ada)
    ENDS[ended](world, people, request_id)
    before = (stands(world, request_id), answers(request_id))
    assert before[0][0] == State.ENDED
    tries: list[Callable[[], object]] = [
        lambda: yes(world, request_id, people.rosa),
        lambda: yes(world, request_id, people.max),
        lambda: yes(world, request_id, people.bea),
        lambda: no(world, request_id, people.bea),
        lambda: start(request_id=request_id, user_id=people.ada, runtime=world.runtime),
        lambda: cancel(world, request_id),
    ]
    assert set(outcomes(tries * 2)) == {"Conflict"}
    assert (stands(world, request_id), answers(request_id)) == before
    assert faults(world) == []


def test_a_yes_cannot_be_taken_back_by_a_second_answer_and_a_started_request_by_none(
    world: World, people: People
) -> None:
    """Approved is approved: to stop it is to end it, and that works at any time."""
    request_id = ask(world, people.ada)
    yes(world, request_id, people.rosa, people.bea)
    for step in (lambda: None, lambda: begin(world, request_id, people.ada)):
        step()
        with pytest.raises(Conflict):
            no(world, request_id, people.max)
        with pytest.raises(Conflict):
            no(world, request_id, people.bea)
    cancel(world, request_id)
    assert stands(world, request_id) == (State.ENDED, EndReason.CANCELLED)


def test_p4_a_request_can_be_answered_up_to_its_lapse_and_not_at_it(build: Build) -> None:
    """The second before it lapses a yes counts; at the moment itself it does not, although no job has run."""
    world = build(approval_ttl=timedelta(minutes=10))
    people = gather(world, require_customer=True)
    for late, outcome in ((599, "done"), (600, "Conflict")):
        request_id = ask(world, people.ada)
        assert at(world.request(request_id).lapses_at) == world.clock.now() + timedelta(minutes=10)
        world.clock.advance(seconds=late)
        assert outcomes([partial(yes, world, request_id, people.rosa)]) == [outcome]
        if outcome == "done":
            cancel(world, request_id)
    assert outcomes([lambda: no(world, request_id, people.rosa)]) == ["Conflict"]
    expire_due(world.runtime)
    assert stands(world, request_id) == (State.ENDED, EndReason.LAPSED)


def test_p4_an_approved_request_waits_24_hours_for_start_and_no_longer(world: World, people: People) -> None:
    """Counted from the last yes; at the moment itself Start is refused, and the job ends it then and not before."""
    kept = ask(world, people.ada)
    world.clock.advance(hours=23)
    yes(world, kept, people.rosa, people.bea)
    world.clock.advance(hours=23, minutes=59, seconds=59)
    expire_due(world.runtime)
    start(request_id=kept, user_id=people.ada, runtime=world.runtime)
    assert stands(world, kept)[0] == State.PROVISIONING
    cancel(world, kept)
    missed = ask(world, people.ada)
    yes(world, missed, people.rosa, people.bea)
    world.clock.advance(hours=24)
    with pytest.raises(Conflict, match="does not wait for Start"):
        start(request_id=missed, user_id=people.ada, runtime=world.runtime)
    expire_due(world.runtime)
    assert stands(world, missed) == (State.ENDED, EndReason.LAPSED)


def test_a_pending_request_cannot_be_joined_and_a_new_access_needs_a_new_request(world: World, people: People) -> None:
    """One open request per person; a colleague's is a request of its own with answers of its own; so is the next."""
    first = ask(world, people.ada)
    with pytest.raises(AlreadyOpen):
        ask(world, people.ada)
    other = ask(world, people.bea)
    assert other != first
    yes(world, first, people.rosa, people.bea)
    assert answers(other) == {CUSTOMER: None, OMNIADMIN: None}
    with pytest.raises(NotFound):
        start(request_id=first, user_id=people.bea, runtime=world.runtime)
    go_in(world, first, people.ada)
    cancel(world, first)
    anew = ask(world, people.ada)
    assert anew != first
    assert answers(anew) == {CUSTOMER: None, OMNIADMIN: None}
    assert stands(world, first)[0] == State.ENDED


def test_a_second_request_does_not_hide_the_end_of_the_first(world: World, people: People) -> None:
    """Two requests of one user's pages and one for the instance: each has its own End access, on every page."""
    one, other = ask_user(world, people.ada), ask_user(world, people.bea)
    admin = ask(world, people.bea)
    yes(world, one, people.liam)
    go_in(world, one, people.ada)
    liam = world.signed_in("liam@acme.example", "http://acme.localhost:8000")
    ids = {key: world.request(key).public_id for key in (one, other, admin)}
    for path in ("/", "/support-access", "/account"):
        liam.get(path)
        assert f"/support-access/{ids[one]}/end" in liam.page, path
    rosa = world.signed_in("rosa@acme.example", "http://acme.localhost:8000")
    rosa.get("/support-access")
    assert f"/support-access/{ids[one]}/end" in rosa.page
    assert f"/support-access/{ids[other]}/end" in rosa.page
    assert liam.post(f"/support-access/{ids[one]}/end").status_code == 303
    assert stands(world, one) == (State.ENDED, EndReason.ENDED_BY_SUBJECT)
    assert stands(world, other)[0] == stands(world, admin)[0] == State.PENDING_APPROVAL
