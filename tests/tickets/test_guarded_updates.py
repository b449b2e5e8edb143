"""S04: the guards in the WHERE clauses hold by themselves, should a lock ever be forgotten."""

from __future__ import annotations

import pytest

from instances.models import VirtualInstance
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Gone
from tests.world import World
from tickets import tokens
from tickets.machine import locked, move
from tickets.models import AccessRequest
from tickets.queries import live_ticket
from tickets.states import State


def test_s04_a_ticket_that_was_used_meanwhile_cannot_be_used_again(world: World, acme: VirtualInstance) -> None:
    """A stale row in memory says unused; the database knows better."""
    request = world.ask(world.signed_in(), "acme")
    ticket = live_ticket(request)
    assert ticket is not None
    with transaction():
        tokens.use(ticket, now=world.clock.now())
    with transaction(), pytest.raises(Gone):
        tokens.use(ticket, now=world.clock.now())


def test_p4_a_ticket_that_expired_meanwhile_cannot_be_used(world: World, acme: VirtualInstance) -> None:
    """The expiry stands in the guard too."""
    request = world.ask(world.signed_in(), "acme")
    ticket = live_ticket(request)
    assert ticket is not None
    with transaction(), pytest.raises(Gone):
        tokens.use(ticket, now=ticket.expires_at)


def test_a_request_that_moved_meanwhile_cannot_be_moved_from_where_it_was(world: World, acme: VirtualInstance) -> None:
    """Two transactions saw the same state; the second to write finds another."""
    request_id = world.ask(world.signed_in(), "acme").id
    with transaction() as session:
        request = locked(request_id)
        stale = State(request.state)
        session.connection().exec_driver_sql(f"UPDATE access_requests SET state = 'ready' WHERE id = {request_id}")
        assert request.state == stale
        with pytest.raises(Conflict):
            move(request, State.READY, now=world.clock.now())
        session.rollback()
    assert db.session.get_one(AccessRequest, request_id).state == stale


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED])
@pytest.mark.parametrize("to", [one for one in State if one not in (State.ENDED, State.ENDING)])
def test_ending_and_ended_absorb(world: World, acme: VirtualInstance, state: State, to: State) -> None:
    """Nothing leads back from an end."""
    request = AccessRequest(id=1, state=state)
    with pytest.raises(Conflict):
        move(request, to, now=world.clock.now())
