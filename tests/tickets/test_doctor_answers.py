"""The doctor names requests, approvals and extensions that do not fit together."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tempadmin.db import db
from tempadmin.doctor.findings import Finding, Level
from tests.conftest import Build
from tests.tickets.asked import People, ask, ask_user, change, gather, go_in, go_in_as, more, yes
from tests.world import World
from tickets.doctor import what_does_not_fit
from tickets.models import AccessRequest
from tickets.states import State

OF = "request_id = (SELECT id FROM access_requests WHERE kind = '{}' AND state = '{}')"
PENDING, APPROVED, SEEN, INSIDE = (
    OF.format(kind, state)
    for kind, state in (
        ("impersonation", State.PENDING_APPROVAL),
        ("temporary_admin", State.APPROVED),
        ("impersonation", State.ACTIVE),
        ("temporary_admin", State.ACTIVE),
    )
)
FAULTS = {
    "approved_with_an_unanswered_approval": (
        f"UPDATE approvals SET decision = NULL, decided_at = NULL WHERE {APPROVED}",
        ("went on without a yes that was asked for", "tempadmin access end"),
    ),
    "approved_against_a_no": (
        f"UPDATE approvals SET decision = 'rejected' WHERE {APPROVED}",
        ("went on without a yes that was asked for",),
    ),
    "pending_that_nobody_was_asked_about": (
        f"DELETE FROM approvals WHERE {PENDING}",
        ("waits for an answer, and nobody is asked", "tempadmin access end"),
    ),
    "pending_that_was_answered": (
        f"UPDATE approvals SET decision = 'approved', decided_at = '2026-11-22 10:00:00' WHERE {PENDING}",
        ("waits for an answer, and nobody is asked",),
    ),
    "pending_without_end": (
        f"UPDATE access_requests SET lapses_at = NULL WHERE {PENDING.replace('request_id', 'id', 1)}",
        ("waits, and never lapses",),
    ),
    "approved_without_end": (
        f"UPDATE access_requests SET lapses_at = NULL WHERE {APPROVED.replace('request_id', 'id', 1)}",
        ("waits, and never lapses",),
    ),
    "inside_without_the_customers_yes": (
        f"DELETE FROM approvals WHERE extension_id IS NULL AND {INSIDE}",
        ("went on without the yes of the customer", "tempadmin access end"),
    ),
    "inside_without_the_users_yes": (
        f"DELETE FROM approvals WHERE {SEEN}",
        ("went on without the yes of the subject",),
    ),
    "more_time_that_nobody_granted": (
        f"UPDATE extensions SET state = 'granted' WHERE {INSIDE}",
        ("was given more time without a yes that was asked for",),
    ),
    "more_time_asked_for_what_is_no_more": (
        f"UPDATE extensions SET request_id = (SELECT id FROM access_requests WHERE state = '{State.APPROVED}')",
        ("is not active, and asks for more time still",),
    ),
    "a_policy_that_cannot_be_read": (
        "UPDATE virtual_instances SET max_duration_seconds = 400000000 WHERE web_id = 'acme'",
        ("the policy of Acme Logistics cannot be read",),
    ),
}


def scene(world: World) -> People:
    """Inside with more time asked for, approved, pending, and in a user's pages: all of it sound."""
    people = gather(world, require_customer=True)
    cy = world.omniadmin("cy@operator.example", "Cy Noor").id
    inside = ask(world, people.ada)
    yes(world, inside, people.rosa)
    go_in(world, inside, people.ada)
    more(world, inside, people.ada)
    yes(world, ask(world, people.bea), people.max)
    ask_user(world, cy)
    go_in_as(world, people)
    return people


def found(world: World) -> list[Finding]:
    db.session.rollback()
    return list(what_does_not_fit(world.runtime))


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_that_do_not_fit_are_named(world: World, fault: str) -> None:
    """Each fault, made by hand, is found and said; before it all was well."""
    scene(world)
    assert [finding.level for finding in found(world)] == [Level.OK]
    statement, words = FAULTS[fault]
    with db.engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1
    lines = [f"{finding.message} – {finding.advice}" for finding in found(world) if finding.level is Level.ERROR]
    assert [line for line in lines if all(word in line for word in words)], lines


def test_a_yes_that_a_restart_made_necessary_is_named(build: Build) -> None:
    """What is open since before the switch goes on; the doctor says that nobody of that side agreed to it."""
    world = build()
    scene(world)
    assert [finding.level for finding in found(world)] == [Level.OK]
    stricter = build(clock=world.clock, require_omniadmin=True)
    said = [finding.message for finding in found(stricter)]
    assert len(said) == 2
    assert all("went on without the yes of the omniadmin" in line for line in said)


def test_what_is_over_is_nobodys_fault(world: World) -> None:
    """A request that ended with a no, or unanswered, is as it should be."""
    people = gather(world, require_customer=True)
    request_id = ask(world, people.ada)
    change(AccessRequest, request_id, state="ended", end_reason="lapsed")
    assert [finding.level for finding in found(world)] == [Level.OK]
