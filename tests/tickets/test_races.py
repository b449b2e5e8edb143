"""S04, S05, P2, P4: races of real threads, each with its own application context and connection, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession
from tempadmin.accounts.sign_in import Client
from tempadmin.db import db
from tempadmin.errors import Conflict, Gone
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import (
    ACME,
    ACME_HOST,
    at_once,
    code_in,
    dump,
    events,
    faults,
    hand_off_cookie,
    key_in,
    to_return,
    with_cookie,
    workers,
)
from tests.tickets.locks import while_waiting
from tests.world import World
from tickets.confirm import confirm
from tickets.hand_off import Kept, open_cookie
from tickets.models import AccessRequest, Ticket
from tickets.portal import HAND_OFF_COOKIE
from tickets.redeem import redeem
from tickets.states import State

RIVALS = 24


@dataclass
class AtTheDoor:
    """Everything that a redemption needs, one step before it."""

    ada: Browser
    request: AccessRequest
    back: str
    kept: Kept
    ticket: Ticket
    instance_id: int

    def redeem(self, world: World) -> str:
        """Redeem in a context of one's own; say what came of it."""
        with world.app.app_context():
            try:
                redeem(
                    kept=self.kept,
                    code=code_in(self.back),
                    instance_id=self.instance_id,
                    present_session=None,
                    client=Client(),
                    runtime=world.runtime,
                )
            except (Gone, Conflict) as error:
                return type(error).__name__
            return "entered"


@pytest.fixture
def door(world: World, acme: VirtualInstance) -> AtTheDoor:
    """Ada's browser holds verifier and code for acme."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    back = to_return(ada, world.confirm(ada))
    kept = open_cookie(hand_off_cookie(ada), instance_id=acme.id, runtime=world.runtime)
    assert kept is not None
    request = world.request(request.id)
    ticket = db.session.scalars(select(Ticket).where(Ticket.request_id == request.id, Ticket.purpose == "login")).one()
    return AtTheDoor(ada, request, back, kept, ticket, acme.id)


def assert_one_session(world: World, request_id: int) -> None:
    """Exactly one session came of it, and the record tells of one entry."""
    assert world.request(request_id).state == State.ACTIVE
    sessions = select(func.count()).where(LoginSession.access_request_id == request_id)
    assert db.session.scalar(sessions) == 1
    assert events(request_id).count("access.entered") == 1
    assert faults(world) == []


def test_s04_p2_simultaneous_redemptions_open_one_session(world: World, door: AtTheDoor) -> None:
    """24 threads over four workers redeem one ticket with the right code and verifier: one enters."""
    with workers(world, 4) as others:
        rivals: list[Callable[[], str]] = [lambda one=one: door.redeem(one) for one in others * (RIVALS // 4)]  # type: ignore[misc]
        outcome = at_once(rivals)
    assert sorted(outcome) == ["Gone"] * (RIVALS - 1) + ["entered"]
    assert_one_session(world, door.request.id)


def test_s04_p2_simultaneous_browsers_get_one_cookie(world: World, door: AtTheDoor) -> None:
    """24 browsers with copies of one hand-off cookie open one return address: one gets a session cookie."""
    cookie = hand_off_cookie(door.ada)
    with workers(world, 4) as others:
        browsers = [with_cookie(one, ACME, HAND_OFF_COOKIE, cookie) for one in others * (RIVALS // 4)]
        statuses = at_once([lambda one=one: one.get(door.back).status_code for one in browsers])  # type: ignore[misc]
    assert sorted(statuses) == [303] + [410] * (RIVALS - 1)
    assert sum(one.cookie(SESSION_COOKIE, ACME_HOST) is not None for one in browsers) == 1
    assert_one_session(world, door.request.id)


def test_p2_of_two_tabs_the_later_one_enters(world: World, acme: VirtualInstance) -> None:
    """A link that was opened in two tabs gives the later code only; the former is worthless, the ticket is not."""
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    link = world.confirm(ada)
    first, second = to_return(ada, link), to_return(ada, link)
    assert ada.get(first).status_code == 409
    assert "Start again" in ada.text
    assert ada.get(second).status_code == 303
    assert ada.get(second).status_code == 409
    assert ada.get(link).status_code == 410
    assert_one_session(world, request.id)


def expire(world: World, door: AtTheDoor) -> None:
    """Move the clock to the ticket's expiry."""
    world.clock.time = door.ticket.expires_at


def test_s05_p4_a_redemption_that_waits_past_the_expiry_is_refused(world: World, door: AtTheDoor) -> None:
    """The clock is read when the lock is held: a wait for it makes no ticket live longer."""
    refresh_code(world, door)
    outcome = while_waiting(world, door.request.id, lambda: door.redeem(world), lambda: expire(world, door))
    assert outcome == "Gone"
    assert world.request(door.request.id).state == State.READY
    assert db.session.scalar(select(func.count()).where(LoginSession.access_request_id == door.request.id)) == 0


def test_s05_a_redemption_that_waits_within_its_time_enters(world: World, door: AtTheDoor) -> None:
    """The same wait, without the expiry, ends with a session."""
    refresh_code(world, door)
    outcome = while_waiting(world, door.request.id, lambda: door.redeem(world), lambda: None)
    assert outcome == "entered"


def test_s05_a_code_that_waits_past_its_minute_is_refused(world: World, door: AtTheDoor) -> None:
    """The hand-off's code lives 60 s, counted when the lock is held; the ticket lives on."""
    outcome = while_waiting(world, door.request.id, lambda: door.redeem(world), lambda: world.clock.advance(seconds=60))
    assert outcome == "OtherTab"
    assert door.ada.get(to_return(door.ada, f"{ACME}/login/ticket?key={door.kept.key}")).status_code == 303


def test_s05_a_confirmation_that_waits_past_the_expiry_is_refused(world: World, acme: VirtualInstance) -> None:
    """The confirmation's ticket, too, is judged when the lock is held: no login ticket is made."""
    request = world.ask(world.signed_in(), "acme")
    key = key_in(world.confirmation_link())
    world.clock.advance(minutes=4, seconds=59)
    before, code = dump(world)["tickets"], world.code()

    def confirm_in_a_context() -> str:
        with world.app.app_context(), pytest.raises(Gone) as refusal:
            confirm(key=key, user_id=request.requester_id, answer=code, runtime=world.runtime)
        return refusal.typename

    assert while_waiting(world, request.id, confirm_in_a_context, lambda: world.clock.advance(seconds=1)) == "Gone"
    assert world.request(request.id).state == State.AWAITING_CONFIRMATION
    assert dump(world)["tickets"] == before


def test_p4_a_ticket_works_up_to_its_expiry(world: World, door: AtTheDoor) -> None:
    """A microsecond before the end it opens a session."""
    refresh_code(world, door)
    world.clock.time = door.ticket.expires_at
    world.clock.advance(microseconds=-1)
    assert door.redeem(world) == "entered"


def test_p4_a_ticket_does_not_work_at_its_expiry(world: World, door: AtTheDoor) -> None:
    """At the end it opens nothing, and so says the link."""
    refresh_code(world, door)
    expire(world, door)
    assert door.redeem(world) == "Gone"
    assert door.ada.get(door.back).status_code == 409  # the hand-off cookie's time is over, too
    assert door.ada.get(f"{ACME}/login/ticket?key={door.kept.key}").status_code == 410


def refresh_code(world: World, door: AtTheDoor) -> None:
    """Begin the hand-off anew 30 s before the ticket's expiry, so that the code outlives it."""
    world.clock.time = door.ticket.expires_at
    world.clock.advance(seconds=-30)
    door.back = to_return(door.ada, f"{ACME}/login/ticket?key={door.kept.key}")
