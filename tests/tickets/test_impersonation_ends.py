"""S23: whatever ends an impersonation, it is over at once, and the user, their account and their own sessions go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.browser import Browser
from tests.tickets.asked import (
    ACME,
    ADA,
    LIAM,
    People,
    acting,
    ask_user,
    gather,
    go_in_as,
    stands,
    yes,
)
from tests.tickets.evidence import assert_refused, faults, thief
from tests.world import CONSOLE, World
from tickets.change_policy import change_policy
from tickets.end import end_access
from tickets.expire import expire_due, retry_due
from tickets.states import EndReason, State
from tickets.sweep import sweep


@dataclass
class Watched:
    """Ada in Liam's pages, and Liam in a browser of his own."""

    world: World
    people: People
    request_id: int
    support: Browser
    own: Browser

    @property
    def public_id(self) -> str:
        return self.world.request(self.request_id).public_id


@pytest.fixture
def watched(world: World) -> Watched:
    people = gather(world)
    own = world.signed_in(LIAM, ACME)
    request_id, cookie = go_in_as(world, people)
    support = thief(world, cookie)
    assert support.get(f"{ACME}/").status_code == 200
    return Watched(world, people, request_id, support, own)


def stop(one: Watched) -> None:
    """Support presses Stop impersonating."""
    one.support.post(f"{ACME}/support-session/leave")


def end_by_user(one: Watched) -> None:
    """The user presses End access on any page."""
    one.own.get(f"{ACME}/account")
    assert one.own.post(f"{ACME}/support-access/{one.public_id}/end").status_code == 303


def end_by_administrator(one: Watched) -> None:
    rosa = one.world.signed_in("rosa@acme.example", ACME)
    rosa.get(f"{ACME}/support-access")
    assert rosa.post(f"{ACME}/support-access/{one.public_id}/end").status_code == 303


def end_by_colleague(one: Watched) -> None:
    bea = one.world.signed_in("bea@operator.example")
    bea.get(f"{CONSOLE}/access/{one.public_id}")
    assert bea.post(f"{CONSOLE}/access/{one.public_id}/end").status_code == 303


def time_limit(one: Watched) -> None:
    """A click every 20 minutes on both sides, up to the hour."""
    for _ in range(3):
        one.world.clock.advance(minutes=19)
        assert one.support.get(f"{ACME}/").status_code == 200
        one.own.get(f"{ACME}/")
    one.world.clock.advance(minutes=5)


def idle(one: Watched) -> None:
    """Half an hour without a click of support's; the user clicks."""
    one.world.clock.advance(minutes=29)
    one.own.get(f"{ACME}/")
    one.world.clock.advance(minutes=1)


def other_sessions(one: Watched) -> None:
    one.own.get(f"{ACME}/account")
    assert one.own.post(f"{ACME}/account/sessions/end-others").status_code == 303


def policy(one: Watched) -> None:
    longest = timedelta(minutes=30)
    who = acting(one.people.rosa)
    change_policy(acting=who, require_customer=False, longest=longest, runtime=one.world.runtime)


def requester_disabled(one: Watched) -> None:
    home = one.world.default_instance().id
    omniadmins.disable_omniadmin(instance_id=home, email=ADA, runtime=one.world.runtime)


ENDS: dict[str, tuple[Callable[[Watched], None], EndReason]] = {
    "stop": (stop, EndReason.LOGOUT),
    "the user": (end_by_user, EndReason.ENDED_BY_SUBJECT),
    "their administrator": (end_by_administrator, EndReason.ENDED_BY_CUSTOMER),
    "a colleague": (end_by_colleague, EndReason.ENDED_BY_OMNIADMIN),
    "time limit": (time_limit, EndReason.TIME_LIMIT),
    "idle limit": (idle, EndReason.IDLE),
    "all other sessions": (other_sessions, EndReason.ENDED_BY_SUBJECT),
    "policy": (policy, EndReason.POLICY_CHANGED),
    "requester disabled": (requester_disabled, EndReason.REQUESTER_DISABLED),
}


def account(user_id: int) -> dict[str, Any]:
    """A user's row, and the sessions of their own."""
    db.session.rollback()
    row = db.session.execute(select(User.__table__).where(User.id == user_id)).mappings().one()
    own = select(LoginSession.id, LoginSession.ended_at).where(
        LoginSession.user_id == user_id, LoginSession.access_request_id.is_(None)
    )
    return {**row, "sessions": db.session.execute(own).all()}


@pytest.mark.parametrize("how", ENDS)
def test_s23_p1_every_end_ends_it_at_once_and_leaves_the_user_alone(watched: Watched, how: str) -> None:
    """The next request is refused, before and after the jobs; nothing of the user's own is touched, least deleted."""
    end, reason = ENDS[how]
    before = account(watched.people.liam)
    end(watched)
    assert_refused(watched.support)
    for job in (expire_due, retry_due):
        job(watched.world.runtime)
    assert stands(watched.world, watched.request_id) == (State.ENDED, reason)
    sweep(min_age=watched.world.runtime.settings.cleanup_min_age * 0, runtime=watched.world.runtime)
    assert_refused(watched.support)
    assert account(watched.people.liam) == before
    assert watched.own.get(f"{ACME}/").status_code == 200
    assert "sees what you see" not in watched.own.text
    assert watched.world.signed_in(LIAM, ACME).get(f"{ACME}/account").status_code == 200
    assert faults(watched.world) == []


def test_s23_the_users_own_sign_out_does_not_end_it(watched: Watched) -> None:
    """It is a sign-out of that browser; End access ends what support does."""
    watched.own.get(f"{ACME}/logout")
    watched.own.post(f"{ACME}/logout")
    assert stands(watched.world, watched.request_id)[0] == State.ACTIVE
    assert watched.support.get(f"{ACME}/").status_code == 200


@pytest.mark.parametrize("stage", [State.PENDING_APPROVAL, State.APPROVED])
def test_either_side_can_always_end(world: World, stage: State) -> None:
    """Before it begins as well: the user, their administrator, the requester and a colleague."""
    people = gather(world)
    who = {
        (LIAM, ACME): EndReason.ENDED_BY_SUBJECT,
        ("rosa@acme.example", ACME): EndReason.ENDED_BY_CUSTOMER,
        ("bea@operator.example", CONSOLE): EndReason.ENDED_BY_OMNIADMIN,
    }
    for (address, place), reason in who.items():
        request_id = ask_user(world, people.ada)
        if stage == State.APPROVED:
            yes(world, request_id, people.liam)
        public_id = world.request(request_id).public_id
        browser = world.signed_in(address, place)
        browser.get(f"{place}/account")
        path = "access" if place == CONSOLE else "support-access"
        assert browser.post(f"{place}/{path}/{public_id}/end").status_code == 303
        assert stands(world, request_id) == (State.ENDED, reason)
        assert browser.post(f"{place}/{path}/{public_id}/end").status_code == 409


def test_p1_an_ended_impersonation_is_no_removal(watched: Watched) -> None:
    """Its end is complete in one transaction: nothing was made, so nothing is disabled, deleted or retried."""
    end_access(
        request_id=watched.request_id,
        reason=EndReason.CANCELLED,
        actor=SERVICE,
        runtime=watched.world.runtime,
    )
    request = watched.world.request(watched.request_id)
    assert (request.state, request.create_attempts, request.next_attempt_at) == (State.ENDED, 0, None)
    assert request.ended_at == request.ending_at
