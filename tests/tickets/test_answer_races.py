"""P3, P13: answers, Start and more time against each other and against every end: one order, one outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from tests.tickets.asked import (
    People,
    acting,
    answers,
    ask,
    at,
    gather,
    go_in,
    more,
    more_time,
    stands,
    state_of,
    yes,
)
from tests.tickets.evidence import assert_gone, at_once, events, faults, workers
from tests.tickets.locks import overlap, while_waiting
from tests.tickets.presses import (
    BOTH,
    Call,
    archives,
    begins,
    cancels,
    disables,
    outcome,
    press,
    tightens,
)
from tests.world import World
from tickets.approve import approve, reject
from tickets.expire import end_if_over, retry_due
from tickets.extend import approve_extension, reject_extension
from tickets.states import OPEN, EndReason, State


@pytest.mark.parametrize("how", [(approve, approve), (approve, reject)], ids=["yes, yes", "yes, no"])
def test_two_administrators_who_click_at_once_are_one_answer(
    world: World, how: tuple[Callable[..., object], Callable[..., object]]
) -> None:
    """One wins, the other is told who it was; the record holds one answer."""
    people = gather(world, require_customer=True)
    for _ in range(3):
        request_id = ask(world, people.ada)
        whom = {people.rosa: acting(people.rosa), people.max: acting(people.max)}
        with workers(world, 2) as others:
            calls: list[Callable[[], str]] = [
                partial(outcome, one, press(act, who, request_id=request_id))
                for one, act, who in zip(others, how, whom.values(), strict=True)
            ]
            said = at_once(calls)
        assert sorted(one == "done" for one in said) == [False, True]
        winner = next(who for who, one in zip(("Rosa", "Max"), said, strict=True) if one == "done")
        loser = next(one for one in said if one != "done")
        decision = answers(request_id)["customer", False]
        assert loser == f"Conflict: {winner} {decision} this already."
        told = Counter(events(request_id))
        assert told["access.approved"] + told["access.rejected"] == 1
        if State(stands(world, request_id)[0]) in OPEN:
            cancels(request_id)(world)
    assert faults(world) == []


STAGES = ("pending", "approved", "active")


def stage_of(world: World, people: People, stage: str) -> int:
    """Bring a request to where the rivals meet."""
    request_id = ask(world, people.ada)
    if stage != "pending":
        yes(world, request_id, people.rosa, people.bea)
    if stage == "active":
        go_in(world, request_id, people.ada)
        more(world, request_id, people.ada)
    return request_id


@pytest.mark.parametrize("stage", STAGES)
def test_p3_p13_whatever_is_pressed_at_once_has_one_outcome(world: World, stage: str) -> None:
    """Yes, no, cancel, lapse, Start, archive, loss of the role and a tighter policy: one end, nothing left."""
    people = gather(world, **BOTH)
    request_id = stage_of(world, people, stage)
    rosa, bea, other = acting(people.rosa), acting(people.bea), acting(people.max)
    ids = {"request_id": request_id}
    found = more_time(request_id)
    yes_by, no_by = (approve, reject) if found is None else (approve_extension, reject_extension)
    ids |= {} if found is None else {"extension_id": found.id}
    calls: list[Call] = [
        press(yes_by, rosa, **ids),
        press(yes_by, bea, **ids),
        press(no_by, other, **ids),
        begins(request_id, people),
        cancels(request_id),
        disables(world),
        archives,
        tightens(people),
        lambda one: end_if_over(request_id=request_id, runtime=one.runtime),
    ]
    with workers(world, 3) as others:
        said = at_once([partial(outcome, others[at % 3], call) for at, call in enumerate(calls)])
    told = Counter(events(request_id))
    assert told["access.ending"] == told["access.ended"] == 1, (said, told)
    assert max(told[name] for name in ("access.started", "access.extended", "access.rejected")) <= 1
    assert Counter(told)["access.approved"] <= 2
    retry_due(world.runtime)
    assert_gone(world, request_id, stands(world, request_id)[1] or "")
    assert state_of(request_id) in (None, "granted", "refused", "void")


Steps = dict[str, tuple[str, str]]
STEPS: Steps = {
    "approve": ("pending", "access.approved"),
    "start": ("approved", "access.started"),
    "grant": ("active", "access.extended"),
}
ENDS = ("cancel", "role", "archive", "policy")


def meet(world: World, step: str, end: str) -> tuple[int, Call, Call]:
    """A request, the step that would bring it on, and what would end it."""
    people = gather(world, **BOTH)
    request_id = stage_of(world, people, STEPS[step][0])
    if step == "approve":
        yes(world, request_id, people.bea)
        act = press(approve, acting(people.rosa), request_id=request_id)
    elif step == "start":
        act = begins(request_id, people)
    else:
        found = more_time(request_id)
        assert found is not None
        ids = {"request_id": request_id, "extension_id": found.id}
        press(approve_extension, acting(people.bea), **ids)(world)
        act = press(approve_extension, acting(people.rosa), **ids)
    ends = {"cancel": cancels(request_id), "role": disables(world), "archive": archives, "policy": tightens(people)}
    return request_id, act, ends[end]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS)
def test_p3_an_end_that_comes_while_a_step_commits_ends_what_it_made(world: World, step: str, end: str) -> None:
    """The step is let through, and is over a moment later."""
    request_id, act, ends = meet(world, step, end)
    with workers(world, 2) as (one, other):
        said = overlap((one, lambda: outcome(one, act)), (other, lambda: outcome(other, ends)), at=STEPS[step][1])
    assert said == ("done", "done")
    assert STEPS[step][1] in events(request_id)
    retry_due(world.runtime)
    assert_gone(world, request_id, stands(world, request_id)[1] or "")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS)
def test_p3_a_step_that_comes_while_an_end_commits_is_refused(world: World, step: str, end: str) -> None:
    """It finds the access over; nothing is approved, begun or lengthened after the end."""
    request_id, act, ends = meet(world, step, end)
    before = events(request_id).count(STEPS[step][1])
    with workers(world, 2) as (one, other):
        said = overlap((one, lambda: outcome(one, ends)), (other, lambda: outcome(other, act)), at="access.ending")
    assert said[0] == "done"
    assert said[1].partition(":")[0] in ("Conflict", "Forbidden"), said
    assert events(request_id).count(STEPS[step][1]) == before
    retry_due(world.runtime)
    assert_gone(world, request_id, stands(world, request_id)[1] or "")


@pytest.mark.parametrize("step", STEPS)
def test_p4_s05_a_step_that_waits_past_its_time_is_refused(world: World, step: str) -> None:
    """In time when pressed, too late when it has the lock: the lapse, the 24 hours for Start, the access's own end."""
    request_id, act, _ = meet(world, step, "cancel")
    request = world.request(request_id)
    over = at(request.ends_at if step == "grant" else request.lapses_at)
    world.clock.time = over - timedelta(seconds=1)

    def pass_by() -> None:
        world.clock.time = over

    said = while_waiting(world, request_id, lambda: outcome(world, act), pass_by)
    assert said.startswith("Conflict"), said
    assert end_if_over(request_id=request_id, runtime=world.runtime)
    retry_due(world.runtime)
    assert_gone(world, request_id, EndReason.TIME_LIMIT if step == "grant" else EndReason.LAPSED)
