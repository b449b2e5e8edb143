"""Ends before anybody is inside: cancel, lapse and refusal in each state, and accounts that could not be made."""

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
from tempadmin.outbox.queue import deliver_due
from tests.browser import Browser
from tests.conftest import Build
from tests.tickets.directories import Moody, put_in
from tests.tickets.evidence import ACME, BEA, assert_gone, events, faults, go_inside, key_in, thief
from tests.world import CONSOLE, World
from tickets.expire import expire_due, retry_due
from tickets.models import AccessRequest
from tickets.states import State

UNAVAILABLE = ConnectorError("the directory is down")
FORBIDDEN = ConnectorError("the directory forbids it", permanent=True)

Ada = tuple[Browser, AccessRequest, str]


@pytest.fixture
def directory(world: World) -> Moody:
    """A directory that can be made to fail."""
    moody = Moody()
    put_in(world.app, moody)
    return moody


@pytest.fixture
def awaiting(world: World, acme: VirtualInstance) -> Ada:
    """A request that awaits its confirmation, and the link."""
    world.omniadmin(BEA, "Bea Ek")
    ada = world.signed_in()
    request = world.ask(ada, "acme")
    return ada, request, world.confirmation_link()


@pytest.fixture
def ready(world: World, awaiting: Ada) -> Ada:
    """A confirmed request, and the one-time link."""
    ada, request, _ = awaiting
    return ada, request, world.confirm(ada)


def press(ada: Browser, request: AccessRequest, action: str) -> int:
    """Press a button of the request's page; return the status."""
    ada.get(f"{CONSOLE}/access/{request.public_id}")
    return ada.post(f"{CONSOLE}/access/{request.public_id}/{action}").status_code


def cancelled(world: World, ada: Browser, request: AccessRequest) -> None:
    assert press(ada, request, "cancel") == 303


def lapsed(world: World, ada: Browser, request: AccessRequest) -> None:
    world.clock.advance(minutes=4, seconds=59)
    expire_due(world.runtime)
    assert world.request(request.id).state in (State.AWAITING_CONFIRMATION, State.READY)
    world.clock.advance(seconds=1)
    expire_due(world.runtime)


def ended_by_omniadmin(world: World, ada: Browser, request: AccessRequest) -> None:
    assert press(world.signed_in(BEA), request, "end") == 303


def requester_signed_out(world: World, ada: Browser, request: AccessRequest) -> None:
    ada.get(f"{CONSOLE}/logout")
    assert ada.post(f"{CONSOLE}/logout").status_code == 303


def requester_disabled(world: World, ada: Browser, request: AccessRequest) -> None:
    omniadmins.disable_omniadmin(
        instance_id=world.default_instance().id, email="ada@operator.example", runtime=world.runtime
    )


def instance_archived(world: World, ada: Browser, request: AccessRequest) -> None:
    archive_instance(web_id="acme", actor=SERVICE, runtime=world.runtime)


ENDS = [cancelled, lapsed, ended_by_omniadmin, requester_signed_out, requester_disabled, instance_archived]


@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__)
def test_p3_an_end_while_awaiting_confirmation(world: World, awaiting: Ada, end: Callable[..., None]) -> None:
    """Nothing is left, and the mailed link confirms no more."""
    ada, request, link = awaiting
    end(world, ada, request)
    assert_gone(world, request.id, end.__name__)
    assert ada.get(link).status_code in (302, 410)
    assert ada.get(f"{CONSOLE}/access/{request.public_id}").status_code in (200, 302)


@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__)
def test_p3_an_end_while_ready(world: World, ready: Ada, end: Callable[..., None]) -> None:
    """Nothing is left, and the one-time link opens nothing."""
    ada, request, link = ready
    end(world, ada, request)
    assert_gone(world, request.id, end.__name__)
    assert ada.get(link).status_code == (404 if end is instance_archived else 410)


@pytest.mark.parametrize("end", ENDS[:1] + ENDS[2:], ids=lambda one: one.__name__)
def test_p3_an_end_while_provisioning(
    world: World, acme: VirtualInstance, directory: Moody, end: Callable[..., None]
) -> None:
    """Ended while the account is being made: the end waits for the last try's deadline, then nothing is left."""
    world.omniadmin(BEA, "Bea Ek")
    ada = world.signed_in()
    directory.create_error = UNAVAILABLE
    request = world.ask(ada, "acme")
    assert request.state == State.PROVISIONING
    end(world, ada, request)
    request = world.request(request.id)
    deadline = request.attempt_deadline
    if request.state == State.ENDING:
        assert deadline is not None
        world.clock.time = max(world.clock.time, deadline)
        retry_due(world.runtime)
    assert_gone(world, request.id, end.__name__)


def test_not_me_ends_the_request_and_tells_the_other_omniadmins(world: World, awaiting: Ada) -> None:
    """Cancel this request and tell the others: both happens, in one transaction with the record."""
    ada, request, link = awaiting
    ada.get(link)
    response = ada.post(f"{CONSOLE}/access/not-me?key={key_in(link)}", follow=True)
    assert response.status_code == 200
    assert "Change your password now" in ada.text
    assert_gone(world, request.id, "not_me")
    assert ada.get(link).status_code == 410
    deliver_due(world.runtime)
    warning = world.mails()[-1]
    assert "was not mine" in warning
    assert request.public_id in warning


def test_not_me_works_with_a_live_link_only(world: World, ready: Ada) -> None:
    """After the confirmation the link says so and cancels nothing; without a key there is nothing to cancel."""
    ada, request, _ = ready
    confirmation = world.confirmation_link()
    for key, status in ((key_in(confirmation), 409), ("", 404)):
        ada.get(f"{CONSOLE}/access/{request.public_id}")
        assert ada.post(f"{CONSOLE}/access/not-me?key={key}").status_code == status
    assert world.request(request.id).state == State.READY


def test_a_permanent_error_ends_the_request_at_once(world: World, acme: VirtualInstance, directory: Moody) -> None:
    """A directory that will never take the account: ended, with the reserved row gone and the failure on record."""
    directory.create_error = FORBIDDEN
    request = world.ask(world.signed_in(), "acme")
    assert_gone(world, request.id, "provisioning_failed")
    assert "access.provisioning_failed" in events(request.id)
    assert "access.provisioned" not in events(request.id)


def test_three_transient_errors_end_the_request(world: World, acme: VirtualInstance, directory: Moody) -> None:
    """Three tries within a minute, then the end, which waits until the last try can take no effect any more."""
    directory.create_error = UNAVAILABLE
    request = world.ask(world.signed_in(), "acme")
    for tries in (1, 2):
        assert events(request.id).count("access.provisioning_failed") == tries
        assert world.request(request.id).state == State.PROVISIONING
        retry_due(world.runtime)
        assert events(request.id).count("access.provisioning_failed") == tries  # not due yet
        world.clock.advance(seconds=5)
        retry_due(world.runtime)
    assert world.request(request.id).state == State.ENDING
    world.clock.advance(seconds=10)
    retry_due(world.runtime)
    assert_gone(world, request.id, "provisioning_failed")


def test_a_transient_error_is_tried_again_and_forgotten(world: World, acme: VirtualInstance, directory: Moody) -> None:
    """The second try succeeds: the request goes on, and the way in works."""
    ada = world.signed_in()
    directory.create_error = UNAVAILABLE
    request = world.ask(ada, "acme")
    directory.create_error = None
    world.clock.advance(seconds=5)
    retry_due(world.runtime)
    assert world.request(request.id).state == State.AWAITING_CONFIRMATION
    assert ada.get(world.confirm(ada), follow=True).status_code == 200
    assert faults(world) == []


def test_links_are_reissued_for_thirty_minutes_and_three_mails(world: World, awaiting: Ada) -> None:
    """Send again works three times; a new one voids the old one; none lives past 30 minutes after provisioning."""
    ada, request, link = awaiting
    for _ in range(3):
        world.clock.advance(minutes=4)
        assert press(ada, request, "send-again") == 303
        assert ada.get(link).status_code == 410
        link = world.confirmation_link()
        assert ada.get(link).status_code == 200
    assert press(ada, request, "send-again") == 409
    world.confirm(ada)
    for _ in range(4):
        world.clock.advance(minutes=4)
        assert press(ada, request, "new-link") == 200
    world.clock.time = (world.request(request.id).provisioned_at or world.clock.time) + timedelta(minutes=30)
    assert press(ada, request, "new-link") == 409
    expire_due(world.runtime)
    assert_gone(world, request.id, "lapsed")


def test_an_idle_console_session_ends_no_access(build: Build) -> None:
    """Only signing out does: when the requester's own session runs out, the support session goes on."""
    world = build(session_idle=timedelta(minutes=2))
    world.omniadmin()
    world.instance("acme")
    inside = go_inside(world)
    world.clock.advance(minutes=10)
    assert inside.ada.get(f"{CONSOLE}/access").headers["Location"] == "/login"
    assert thief(world, inside.cookie).get(f"{ACME}/users").status_code == 200
    assert db.session.scalars(select(User).where(User.access_request_id == inside.request.id)).one().active
