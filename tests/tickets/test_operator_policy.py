"""`tempadmin instance policy`: the operator's switches, what only the customer may loosen, and S23 for what is open."""

from __future__ import annotations

import json

import pytest

from instances.models import VirtualInstance
from tempadmin.audit import queries as audit_queries
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tests.tickets.consent import ask, ask_user, customer
from tests.tickets.test_commands import Command, command
from tests.world import World
from tickets.states import State

__all__ = ["command"]

POLICY = ("instance", "policy", "acme")


@pytest.fixture
def acme(world: World) -> VirtualInstance:
    """A customer that asks nobody yet, with two omniadmins to ask for it."""
    world.clock.time = SystemClock().now()
    world.omniadmin()
    world.omniadmin("jon@operator.example", "Jon Reyes")
    return customer(world)


def test_a_policy_is_set_shown_and_written_into_the_record(acme: VirtualInstance, command: Command) -> None:
    """By switches; without any, the command only shows it; the list's JSON has it."""
    instance_id = acme.id
    assert command(*POLICY).stdout.endswith("Nobody has to approve it.\n")
    done = command(*POLICY, "--require-omniadmin", "--require-customer", "--max-duration", "2h")
    assert done.exit_code == 0, done.output
    assert "lasts 2 hours at most" in done.stdout
    assert "Another omniadmin must approve" in command(*POLICY).stdout
    (row,) = json.loads(command("instance", "list", "--json").stdout)
    assert (row["require_omniadmin"], row["require_customer"], row["max_duration_seconds"]) == (True, True, 7200)
    db.session.rollback()
    event = db.session.scalars(audit_queries.events(instance_id=instance_id).limit(1)).one()
    assert (event.event, event.actor_name) == ("policy.changed", "operator (command line)")
    assert json.loads(event.details) == {"longest_seconds": 7200, "require_customer": True, "require_omniadmin": True}


def test_a_second_omniadmin_is_the_operators_to_require_or_not(acme: VirtualInstance, command: Command) -> None:
    """Both ways, and nothing else changes with it."""
    command(*POLICY, "--require-omniadmin", "--require-customer")
    assert command(*POLICY, "--no-require-omniadmin").exit_code == 0
    db.session.refresh(acme)
    assert (acme.require_omniadmin, acme.require_customer, acme.max_duration_seconds) == (False, True, None)


@pytest.mark.parametrize("loosened", [("--no-require-customer",), ("--max-duration", "3h")])
def test_what_belongs_to_the_customer_is_loosened_by_the_customer_alone(
    acme: VirtualInstance, command: Command, loosened: tuple[str, ...]
) -> None:
    """The command says who can, and changes nothing, not even what else it was told."""
    command(*POLICY, "--require-customer", "--max-duration", "2h")
    refused = command(*POLICY, *loosened, "--require-omniadmin")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Only an administrator there" in refused.stderr
    db.session.refresh(acme)
    assert (acme.require_omniadmin, acme.require_customer, acme.max_duration_seconds) == (False, True, 7200)


@pytest.mark.parametrize("tightened", [("--require-omniadmin",), ("--require-customer",), ("--max-duration", "30m")])
def test_s23_a_tighter_policy_ends_what_does_not_fit(
    world: World, acme: VirtualInstance, command: Command, tightened: tuple[str, ...]
) -> None:
    """An hour that nobody approved ends in the same transaction; what fits goes on."""
    admin = ask(world)
    done = command(*POLICY, *tightened)
    assert "1 open access ended by this." in done.stdout
    request = world.request(admin.id)
    assert (request.state, request.end_reason) == (State.ENDED, "policy_changed")
    assert request.ended_by_name == "operator (command line)"


def test_s23_a_user_who_was_asked_is_enough_for_impersonation(
    world: World, acme: VirtualInstance, command: Command
) -> None:
    """Its approver is always the subject, whatever else the policy wants for admin access."""
    asked = ask_user(world, "liam@acme.example")
    assert "ended by this" not in command(*POLICY, "--require-omniadmin", "--require-customer").stdout
    assert world.request(asked.id).state == State.PENDING_APPROVAL
    assert "1 open access ended by this." in command(*POLICY, "--max-duration", "10m").stdout


@pytest.mark.parametrize("web_id", ["nobody", "operator"])
def test_only_a_customers_instance_has_a_policy(acme: VirtualInstance, command: Command, web_id: str) -> None:
    """Neither an unknown one nor the default instance, to change or to show."""
    for switches in ((), ("--require-omniadmin",)):
        assert command("instance", "policy", web_id, *switches).exit_code == 1
