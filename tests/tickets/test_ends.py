"""S20, S23, P3, P13: every end of a support session – the old cookie is refused, the account goes, the record holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from instances.connectors.base import ConnectorError
from instances.models import VirtualInstance
from instances.registry import archive_instance
from tempadmin.accounts import omniadmins
from tempadmin.accounts.models import User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.web.security import SESSION_COOKIE
from tests.tickets.directories import Moody, put_in
from tests.tickets.evidence import (
    ACME,
    ACME_HOST,
    BEA,
    Inside,
    assert_gone,
    assert_refused,
    events,
    faults,
    go_inside,
    thief,
)
from tests.world import CONSOLE, World
from tickets.expire import expire_due, retry_due
from tickets.states import State
from tickets.sweep import sweep

End = Callable[[World, Inside], None]


def logout(world: World, inside: Inside) -> None:
    """The banner's button."""
    inside.ada.post(f"{ACME}/support-session/leave")
    assert inside.ada.cookie(SESSION_COOKIE, ACME_HOST) is None


def cancelled(world: World, inside: Inside) -> None:
    """Cancel, from a page that was loaded before the entry."""
    press(world, inside, "cancel")


def time_limit(world: World, inside: Inside) -> None:
    """The quarter of an hour is over; the last page was seen just before."""
    world.clock.advance(minutes=14, seconds=59)
    assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
    world.clock.advance(seconds=1)
    expire_due(world.runtime)


def idle(world: World, inside: Inside) -> None:
    """Nobody clicked for five minutes."""
    world.clock.advance(minutes=5)
    expire_due(world.runtime)


def ended_by_requester(world: World, inside: Inside) -> None:
    """End access, on the request's page."""
    press(world, inside, "end")


def ended_by_omniadmin(world: World, inside: Inside) -> None:
    """End access, pressed by somebody else."""
    bea = world.signed_in(BEA)
    bea.get(f"{CONSOLE}/access/{inside.request.public_id}")
    bea.post(f"{CONSOLE}/access/{inside.request.public_id}/end")


def requester_signed_out(world: World, inside: Inside) -> None:
    """The requester signs out of the console, which said what that ends."""
    inside.ada.get(f"{CONSOLE}/logout")
    assert "Your access to Acme Logistics ends, and its account is deleted." in inside.ada.text
    inside.ada.post(f"{CONSOLE}/logout")


def requester_disabled(world: World, inside: Inside) -> None:
    """``omniadmin disable``."""
    omniadmins.disable_omniadmin(
        instance_id=world.default_instance().id, email="ada@operator.example", runtime=world.runtime
    )


def instance_archived(world: World, inside: Inside) -> None:
    """``instance archive``."""
    archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)


def replaced(world: World, inside: Inside) -> None:
    """Another omniadmin enters the same instance in the same browser."""
    browser = inside.ada
    browser.get(f"{CONSOLE}/login")
    browser.post(f"{CONSOLE}/login", {"email": BEA, "password": "a sentence is a good password"}, follow=True)
    browser.post(f"{CONSOLE}/login/verify", {"code": world.next_code()}, follow=True)
    second = world.enter(browser)
    assert second.id != inside.request.id
    assert browser.cookie(SESSION_COOKIE, ACME_HOST) != inside.cookie
    assert browser.get(f"{ACME}/users").status_code == 200


ENDS: list[End] = [
    logout,
    cancelled,
    time_limit,
    idle,
    ended_by_requester,
    ended_by_omniadmin,
    requester_signed_out,
    requester_disabled,
    instance_archived,
    replaced,
]


def press(world: World, inside: Inside, action: str) -> None:
    """Press a button of the request's page."""
    inside.ada.get(f"{CONSOLE}/access/{inside.request.public_id}")
    assert inside.ada.post(f"{CONSOLE}/access/{inside.request.public_id}/{action}").status_code == 303


@pytest.fixture
def directory(world: World) -> Moody:
    """A directory that can be made to fail."""
    moody = Moody()
    put_in(world.app, moody)
    return moody


@pytest.fixture
def world(build: Callable[..., World]) -> World:
    """A world with a short idle limit, so that it and the time limit are told apart."""
    return build(idle_timeout=timedelta(minutes=5))


@pytest.fixture
def inside(world: World, acme: VirtualInstance, directory: Moody) -> Inside:
    """Ada in acme for a quarter of an hour, where Bea is an omniadmin, too."""
    world.omniadmin(BEA, "Bea Ek")
    found = go_inside(world, duration="900")
    assert found.request.state == State.ACTIVE
    assert thief(world, found.cookie).get(f"{ACME}/users").status_code == 200
    return found


def keep_busy(world: World, inside: Inside, end: End) -> None:
    """For the time limit: click now and then, so that the idle limit is not the first to end it."""
    if end is time_limit:
        for _ in range(2):
            world.clock.advance(minutes=4)
            assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
        world.clock.advance(minutes=3)
        assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
        world.clock.advance(minutes=-11)


@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__)
def test_s20_p3_after_every_end_the_old_cookie_is_refused_and_the_account_is_gone(
    world: World, inside: Inside, end: End
) -> None:
    """From the end on neither page nor change is served; the account is read back as gone, at once."""
    keep_busy(world, inside, end)
    end(world, inside)
    assert_refused(thief(world, inside.cookie))
    assert_gone(world, inside.request.id, end.__name__)
    gone = world.browser(ACME).get(inside.link).status_code
    assert gone == (404 if end is instance_archived else 410)
    assert events(inside.request.id)[:5] == [
        "access.requested",
        "access.provisioned",
        "access.confirmed",
        "access.code_issued",
        "access.entered",
    ]


@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__)
def test_s20_p3_the_old_cookie_is_refused_while_the_account_cannot_be_removed(
    world: World, inside: Inside, directory: Moody, end: End
) -> None:
    """Access is over at once although the directory fails; the removal is retried until it is read back as done."""
    keep_busy(world, inside, end)
    directory.remove_error = ConnectorError("the directory is down")
    end(world, inside)
    assert_refused(thief(world, inside.cookie))
    request = world.request(inside.request.id)
    assert (request.state, request.end_reason) == (State.ENDING, end.__name__)
    assert request.removal_failures == events(request.id).count("access.removal_failed") == 1
    account = db.session.scalars(select(User).where(User.access_request_id == request.id)).one()
    assert account.temporary
    assert faults(world) == []
    directory.remove_error = None
    retry_due(world.runtime)
    assert world.request(request.id).state == State.ENDING  # not due yet
    world.clock.advance(seconds=7)
    retry_due(world.runtime)
    assert_gone(world, request.id, end.__name__)
    assert_refused(thief(world, inside.cookie))


def test_s20_p4_the_time_limit_refuses_before_any_job_runs(world: World, inside: Inside) -> None:
    """At the limit itself pages refuse, while the state is still active."""
    world.clock.time = inside.request.ends_at or world.clock.time
    assert_refused(thief(world, inside.cookie))
    assert world.request(inside.request.id).state == State.ACTIVE


def test_s20_p4_the_idle_limit_refuses_before_any_job_runs(world: World, inside: Inside) -> None:
    """At the idle limit pages refuse, a click does not revive the session, and the job ends it."""
    world.clock.advance(minutes=5)
    assert_refused(thief(world, inside.cookie))
    world.clock.advance(seconds=-1)
    assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
    world.clock.advance(minutes=5)
    assert_refused(thief(world, inside.cookie))
    expire_due(world.runtime)
    assert_gone(world, inside.request.id, "idle")


def test_p10_a_session_at_work_survives_the_jobs(world: World, inside: Inside) -> None:
    """Expiry, retries and a sweep without a minimum age leave an access within its limits alone."""
    for _ in range(3):
        world.clock.advance(minutes=4, seconds=30)
        assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
        expire_due(world.runtime)
        retry_due(world.runtime)
        assert sweep(min_age=timedelta(0), runtime=world.runtime).found == 0
    assert world.request(inside.request.id).state == State.ACTIVE


def test_a_second_end_finds_the_first(world: World, inside: Inside) -> None:
    """The first end counts: a later one is told so, and changes neither reason nor record."""
    logout(world, inside)
    told = events(inside.request.id)
    inside.ada.get(f"{CONSOLE}/logout")
    stale = inside.ada.post(f"{CONSOLE}/access/{inside.request.public_id}/end")
    assert stale.status_code == 409
    assert events(inside.request.id) == told
    assert_gone(world, inside.request.id, "logout")
