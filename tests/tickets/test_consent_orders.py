"""S23, P3: of two that meet, the later one sees what the earlier did."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from instances import directory
from tests.tickets.asked import (
    HOUR,
    LIAM,
    acting,
    ask,
    gather,
    go_in,
    go_on,
    more_time,
    stands,
    yes,
)
from tests.tickets.evidence import at_once, events, faults, workers
from tests.tickets.locks import overlap
from tests.tickets.presses import (
    asks_for_more,
    outcome,
    press,
)
from tests.world import REASON, World
from tickets.approve import approve
from tickets.change_policy import change_policy
from tickets.impersonate import request_impersonation
from tickets.provision import provision
from tickets.states import EndReason, State


@pytest.mark.parametrize("first", ["deactivated", "answered"])
def test_s23_an_answer_and_the_loss_of_its_givers_say_have_one_order(world: World, first: str) -> None:
    """Deactivated first, the answer is refused; answered first, it was an administrator's and stands."""
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada)
    rosa, other = acting(people.rosa), acting(people.max)
    answer = press(approve, rosa, request_id=request_id)

    def lose(one: World) -> object:
        return directory.deactivate(acting=other, user_id=people.rosa, runtime=one.runtime)

    calls = (lose, answer) if first == "deactivated" else (answer, lose)
    name = "user.deactivated" if first == "deactivated" else "access.approved"
    with workers(world, 2) as (one, two):
        said = overlap((one, lambda: outcome(one, calls[0])), (two, lambda: outcome(two, calls[1])), at=name)
    assert said[0] == "done"
    assert said[1].partition(":")[0] == ("Forbidden" if first == "deactivated" else "done")
    expected = State.PENDING_APPROVAL if first == "deactivated" else State.APPROVED
    assert stands(world, request_id)[0] == expected
    assert faults(world) == []


def test_s23_more_time_is_judged_by_the_policy_that_was_committed_while_it_waited(world: World) -> None:
    """The maximum is being lowered while more time is asked for: what would have been granted before is not after."""
    people = gather(world)
    request_id = ask(world, people.ada)
    provision(request_id=request_id, runtime=world.runtime)
    go_on(world, request_id, people.ada)
    code, who, longest = world.next_code(), acting(people.rosa), timedelta(minutes=90)

    def lower(one: World) -> object:
        return change_policy(acting=who, require_customer=False, longest=longest, runtime=one.runtime)

    asking = asks_for_more(request_id, people.ada, code)
    with workers(world, 2) as (one, two):
        said = overlap((one, lambda: outcome(one, lower)), (two, lambda: outcome(two, asking)), at="policy.changed")
    assert said[0] == "done"
    assert said[1].startswith("Invalid"), said
    assert more_time(request_id) is None
    assert stands(world, request_id)[0] == State.ACTIVE


def test_more_time_asked_for_twice_at_once_is_asked_for_once(world: World) -> None:
    """Two tabs, one code: one question; the other learns that it was asked already."""
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada)
    yes(world, request_id, people.rosa)
    go_in(world, request_id, people.ada)
    call = asks_for_more(request_id, people.ada, world.next_code())
    with workers(world, 2) as others:
        said = at_once([partial(outcome, one, call) for one in others])
    assert sorted(one.partition(":")[0] for one in said) == ["Conflict", "done"]
    assert events(request_id).count("access.extension_asked") == 1


@pytest.mark.parametrize("first", ["deactivated", "asked"])
def test_s23_a_question_and_its_subjects_deactivation_have_one_order(world: World, first: str) -> None:
    """Deactivated first, nobody is asked; asked first, the question ends with the deactivation."""
    people = gather(world)
    rosa = acting(people.rosa)

    def question(one: World) -> object:
        return request_impersonation(
            requester_id=people.ada, web_id="acme", email=LIAM, reason=REASON, duration=HOUR, runtime=one.runtime
        )

    def lose(one: World) -> object:
        return directory.deactivate(acting=rosa, user_id=people.liam, runtime=one.runtime)

    calls = (lose, question) if first == "deactivated" else (question, lose)
    name = "user.deactivated" if first == "deactivated" else "access.requested"
    with workers(world, 2) as (one, two):
        said = overlap((one, lambda: outcome(one, calls[0])), (two, lambda: outcome(two, calls[1])), at=name)
    if first == "deactivated":
        assert said[1].startswith("Invalid: Nobody with exactly this e-mail"), said
    else:
        assert said == ("done", "done")
        request = world.newest_request()
        assert stands(world, request.id) == (State.ENDED, EndReason.SUBJECT_CHANGED)
    assert faults(world) == []
