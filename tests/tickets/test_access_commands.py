"""`tempadmin access`: each command acts as a named person, and may do what that person's pages let them do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tempadmin.accounts.models import User
from tempadmin.audit import queries as audit_queries
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tests.tickets.consent import ask, ask_user, customer
from tests.tickets.test_commands import Command, command
from tests.world import World
from tickets.asking import new_public_id
from tickets.states import State

__all__ = ["command"]

ADA, JON, ROSA, LIAM = (
    ("--as", "ada@operator.example"),
    ("--as", "jon@operator.example"),
    ("--as", "rosa@acme.example", "--on", "acme"),
    ("--as", "liam@acme.example", "--on", "acme"),
)


@pytest.fixture
def both(world: World) -> World:
    """Ada and Jon at the operator; Acme, which wants a second omniadmin's yes and its own."""
    world.clock.time = SystemClock().now()
    world.omniadmin()
    world.omniadmin("jon@operator.example", "Jon Reyes")
    customer(world, require_customer=True, require_omniadmin=True)
    return world


def listed(command: Command, *arguments: str) -> list[dict[str, Any]]:
    """What the list says as JSON."""
    result = command("access", "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_both_sides_say_yes_by_command_and_the_record_says_how(both: World, command: Command) -> None:
    """One yes leaves the other missing, the last one lets the requester start; the record says how it came."""
    asked = ask(both)
    assert [row["waits_for"] for row in listed(command, "--pending")] == [["customer", "omniadmin"]]
    first = command("access", "approve", asked.public_id, *JON, "--note", "Go ahead.")
    assert (first.exit_code, first.stdout) == (0, "Approved; another yes is still missing.\n")
    assert [row["waits_for"] for row in listed(command, "--pending")] == [["customer"]]
    last = command("access", "approve", asked.public_id, *ROSA)
    assert (last.exit_code, last.stdout) == (0, "Approved; the requester can start.\n")
    assert both.request(asked.id).state == State.APPROVED
    assert listed(command, "--pending") == []
    shown = json.loads(command("access", "show", asked.public_id, "--json").stdout)
    assert {one["side"]: (one["by"], one["note"]) for one in shown["approvals"]} == {
        "customer": ("Rosa Vidal", None),
        "omniadmin": ("Jon Reyes", "Go ahead."),
    }
    answers = [event for event in audit_queries.of_request(request_id=asked.id) if event.event == "access.approved"]
    assert [json.loads(event.details)["via"] for event in answers] == ["command line", "command line"]


def test_no_id_can_be_taken_for_an_option() -> None:
    """A request's name has no hyphen, with which one in 64 would begin."""
    assert [name for name in (new_public_id() for _ in range(1_000)) if "-" in name] == []


def test_a_no_by_command_ends_the_request(both: World, command: Command) -> None:
    """Whatever others said; a second answer is a clear error."""
    asked = ask(both)
    command("access", "approve", asked.public_id, *JON)
    result = command("access", "reject", asked.public_id, *ROSA, "--note", "Not this week.")
    assert (result.exit_code, result.stdout) == (0, "Rejected; the request is over.\n")
    request = both.request(asked.id)
    assert (request.state, request.end_reason, request.ended_by_name) == (State.ENDED, "rejected", "Rosa Vidal")
    late = command("access", "approve", asked.public_id, *ROSA)
    assert (late.exit_code, late.stdout) == (1, "")
    assert "rejected this already" in late.stderr
    assert "Not this week." in command("access", "show", asked.public_id).stdout


def test_everybody_sees_by_command_what_their_pages_show(both: World, command: Command) -> None:
    """An omniadmin all, an administrator their instance's, a member what asked for them; others nothing (S31)."""
    customer(both, "birch")
    admin, mine = ask(both), ask_user(both, "liam@acme.example")
    elsewhere = ask(both, web_id="birch")
    everything = {admin.public_id, mine.public_id, elsewhere.public_id}
    seen = {who: {row["id"] for row in listed(command, *who)} for who in ((), JON, ROSA, LIAM)}
    assert seen == {
        (): everything,
        JON: everything,
        ROSA: {admin.public_id, mine.public_id},
        LIAM: {mine.public_id},
    }
    for who, public_id, code in (
        (LIAM, admin.public_id, 1),
        (LIAM, mine.public_id, 0),
        (ROSA, elsewhere.public_id, 1),
        (JON, elsewhere.public_id, 0),
    ):
        assert command("access", "show", public_id, *who).exit_code == code


@pytest.mark.parametrize("verb", ["approve", "reject", "end"])
def test_s31_what_one_does_not_see_one_does_not_decide(both: World, command: Command, verb: str) -> None:
    """A member of the instance, or an administrator of another one, finds no such request."""
    customer(both, "birch")
    asked = ask(both)
    for who in (LIAM, ("--as", "rosa@birch.example", "--on", "birch")):
        refused = command("access", verb, asked.public_id, *who)
        assert (refused.exit_code, refused.stderr) == (1, "error: There is no such request.\n")
    assert both.request(asked.id).state == State.PENDING_APPROVAL


def test_a_user_alone_answers_who_wants_to_see_as_they_do(both: World, command: Command) -> None:
    """Their administrator sees the request and cannot decide it; the user can, and end it."""
    asked = ask_user(both, "liam@acme.example")
    for who in (ROSA, JON):
        assert "does not wait for your answer" in command("access", "approve", asked.public_id, *who).stderr
    assert command("access", "approve", asked.public_id, *LIAM).exit_code == 0
    assert command("access", "end", asked.public_id, *LIAM).stdout == "Ended.\n"
    assert both.request(asked.id).end_reason == "ended_by_subject"


@pytest.mark.parametrize(
    ("who", "reason"),
    [(ADA, "cancelled"), (JON, "ended_by_omniadmin"), (ROSA, "ended_by_customer")],
)
def test_every_side_ends_by_command(both: World, command: Command, who: tuple[str, ...], reason: str) -> None:
    """The end bears the same name as on that person's page."""
    asked = ask(both)
    assert command("access", "end", asked.public_id, *who).exit_code == 0
    request = both.request(asked.id)
    assert (request.state, request.end_reason) == (State.ENDED, reason)


@pytest.mark.parametrize("lost", [{User.active: False}, {User.password_hash: None}])
def test_only_an_account_in_use_acts(both: World, command: Command, lost: dict[Any, Any]) -> None:
    """Neither who was deactivated nor who was invited and never came; nor anybody on an instance that is not theirs."""
    asked = ask(both)
    with transaction():
        db.session.query(User).filter(User.email == "rosa@acme.example").update(lost)
    for who in (ROSA, ("--as", "jon@operator.example", "--on", "acme"), ("--as", "ada@operator.example", "--on", "x")):
        refused = command("access", "approve", asked.public_id, *who)
        assert refused.exit_code == 1
        assert "There is no" in refused.stderr
    assert command("access", "list", "--on", "acme").exit_code == 2
    assert both.request(asked.id).state == State.PENDING_APPROVAL


def test_s25_an_account_that_support_made_decides_nothing_by_command_either(both: World, command: Command) -> None:
    """Until an administrator vouches for it."""
    asked = ask(both)
    with transaction():
        db.session.query(User).filter(User.email == "rosa@acme.example").update({"made_in_request_id": 77})
    refused = command("access", "approve", asked.public_id, *ROSA)
    assert refused.exit_code == 1
    assert "must vouch" in refused.stderr
    assert both.request(asked.id).state == State.PENDING_APPROVAL
