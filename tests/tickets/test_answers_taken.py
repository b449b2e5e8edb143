"""What an answer may say, and whose is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tempadmin.audit.log import SERVICE
from tempadmin.errors import Forbidden, Invalid, NotFound
from tests.tickets.asked import (
    People,
    acting,
    answers,
    ask,
    change,
    gather,
    no,
    outcomes,
    stands,
    yes,
)
from tests.tickets.evidence import faults
from tests.world import World
from tickets.approve import approve, reject
from tickets.models import AccessRequest
from tickets.queries import approvals_of
from tickets.states import State

CUSTOMER, OMNIADMIN = ("customer", False), ("omniadmin", False)


@pytest.fixture
def people(world: World) -> People:
    """Acme asks its customer and needs a second omniadmin."""
    return gather(world, require_customer=True, require_omniadmin=True)


@pytest.mark.parametrize("decide", [approve, reject])
def test_notes_have_500_characters_at_most_and_no_nul(
    world: World, people: People, decide: Callable[..., object]
) -> None:
    """One more is refused and nothing decided; what nobody can store is taken out; a blank note is none."""
    request_id = ask(world, people.ada)
    with pytest.raises(Invalid) as caught:
        decide(request_id=request_id, acting=acting(people.rosa), note="x" * 501, runtime=world.runtime)
    assert caught.value.field == "note"
    assert set(answers(request_id).values()) == {None}
    noted = "  \x00" + "ü" * 499 + "\x00\x00😀 \n"
    decide(request_id=request_id, acting=acting(people.rosa), note=noted, runtime=world.runtime)
    notes = {row.side: row.note for row in approvals_of(world.request(request_id))}
    assert notes == {"customer": "ü" * 499 + "😀", "omniadmin": None}
    if decide is approve:
        approve(request_id=request_id, acting=acting(people.bea), note=" \x00\n", runtime=world.runtime)
        assert {row.note for row in approvals_of(world.request(request_id))} == {"ü" * 499 + "😀", None}
    assert faults(world) == []


@pytest.mark.parametrize("who", ["liam", "stranger", "service"])
def test_s33_nobody_without_a_side_decides(world: World, people: People, who: str) -> None:
    """A member, another customer's administrator and the service have no say."""
    request_id = ask(world, people.ada)
    stranger = world.administrator(world.instance("birch"), "stan@birch.example")
    one = acting({"liam": people.liam, "stranger": stranger.id, "service": people.rosa}[who])
    if who == "service":
        one = one.__class__(user_id=None, instance_id=people.acme, actor=SERVICE, request_id=None)
    for decide in (approve, reject):
        with pytest.raises((NotFound, Forbidden)):
            decide(request_id=request_id, acting=one, runtime=world.runtime)
    assert set(answers(request_id).values()) == {None}
    assert stands(world, request_id)[0] == State.PENDING_APPROVAL


def test_a_request_that_asks_nobody_is_nobodys_to_decide(world: World) -> None:
    """Where nobody is asked there is no answer to give, before it is active and after."""
    people = gather(world)
    request_id = ask(world, people.ada)
    for _ in range(2):
        tries: list[Callable[[], object]] = [
            lambda: yes(world, request_id, people.bea),
            lambda: no(world, request_id, people.rosa),
        ]
        assert outcomes(tries) == ["Forbidden", "Forbidden"]
        change(AccessRequest, request_id, reason="Still the same thing.")
    assert answers(request_id) == {}
