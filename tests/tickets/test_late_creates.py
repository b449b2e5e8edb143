"""Design §2: a late create does not outlive the end of its request, nor does its clean-up spoil a living one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from instances.connectors.base import Account, ConnectorError
from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import db
from tests.browser import Browser
from tests.tickets.directories import PATIENCE, Faraway, Slow, put_in
from tests.tickets.evidence import BEA, assert_gone, events, faults
from tests.world import CONSOLE, REASON, World
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.states import State

URL = f"{CONSOLE}/instances/acme/request-access"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for what blocks."""
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def browsers(world: World, acme: VirtualInstance) -> tuple[Browser, Browser]:
    """Ada, whose form for acme is open, and Bea."""
    world.omniadmin(BEA, "Bea Ek")
    ada, bea = world.signed_in(), world.signed_in(BEA)
    ada.get(URL)
    return ada, bea


def ask(ada: Browser) -> int:
    """Send the form; blocks as long as the directory does."""
    return ada.post(URL, {"reason": REASON, "duration": "3600"}).status_code


def end(world: World, bea: Browser) -> AccessRequest:
    """Bea ends the newest request."""
    request = world.newest_request()
    assert request.state == State.PROVISIONING
    bea.get(f"{CONSOLE}/access/{request.public_id}")
    assert bea.post(f"{CONSOLE}/access/{request.public_id}/end").status_code == 303
    return world.request(request.id)


def retry(world: World) -> None:
    """Run the job that goes on with creates and removals, on what the database holds now."""
    db.session.rollback()
    retry_due(world.runtime)


def retry_in(pool: ThreadPoolExecutor, world: World) -> Future[Any]:
    """Run the same job in a thread and context of its own."""

    def run() -> None:
        with world.app.app_context():
            retry_due(world.runtime)

    return pool.submit(run)


def test_a_create_that_begins_after_the_end_makes_nothing(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """The embedded connector asks under lock whether the account is still wanted, and then leaves it."""
    ada, bea = browsers
    directory = Slow()
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began.wait(PATIENCE)
    request = end(world, bea)
    assert request.state == State.ENDING
    directory.go.set()
    assert asked.result(PATIENCE) == 303
    retry(world)
    assert_gone(world, request.id, "ended_by_omniadmin")
    assert "access.provisioned" not in events(request.id)


def test_a_create_that_takes_effect_after_the_end_is_undone(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """While a create is on its way nothing is called ended; whoever made the account too late removes it."""
    ada, bea = browsers
    directory = Faraway()
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began[0].wait(PATIENCE)
    request = end(world, bea)
    retry(world)
    assert world.request(request.id).state == State.ENDING
    directory.go[0].set()
    assert asked.result(PATIENCE) == 303
    assert directory.accounts == set()
    retry(world)
    assert_gone(world, request.id, "ended_by_omniadmin")


def test_a_create_that_never_returns_delays_the_end_by_its_deadline_only(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """After twice the connector's time-out a read-back counts; should the create come later still, it is undone."""
    ada, bea = browsers
    directory = Faraway()
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began[0].wait(PATIENCE)
    request = end(world, bea)
    world.clock.advance(seconds=2 * directory.timeout.total_seconds() - 1)
    retry(world)
    assert world.request(request.id).state == State.ENDING
    world.clock.advance(seconds=1)
    retry(world)
    assert_gone(world, request.id, "ended_by_omniadmin")
    directory.go[0].set()
    assert asked.result(PATIENCE) == 303
    assert directory.accounts == set()
    assert_gone(world, request.id, "ended_by_omniadmin")


def test_the_first_of_two_creates_to_return_does_not_call_the_end_proven(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """The second try is still on its way when the first returns: the read-back that ends waits for the second."""
    ada, bea = browsers
    directory = Faraway(2)
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began[0].wait(PATIENCE)
    world.clock.advance(seconds=2 * directory.timeout.total_seconds())
    retried = retry_in(pool, world)
    assert directory.began[1].wait(PATIENCE)
    request = end(world, bea)
    directory.go[0].set()
    assert asked.result(PATIENCE) == 303
    retry(world)
    state = world.request(request.id).state
    directory.go[1].set()
    retried.result(PATIENCE)
    assert state == State.ENDING
    retry(world)
    assert_gone(world, request.id, "ended_by_omniadmin")
    assert directory.accounts == set()


def test_the_slower_of_two_creates_leaves_the_account_of_a_living_request_alone(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """Two tries made the same account; the request goes on with it, so the loser has nothing to remove."""
    ada, _ = browsers
    directory = Faraway(2)
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began[0].wait(PATIENCE)
    world.clock.advance(seconds=2 * directory.timeout.total_seconds())
    retried = retry_in(pool, world)
    assert directory.began[1].wait(PATIENCE)
    directory.go[1].set()
    retried.result(PATIENCE)
    request = world.newest_request()
    assert request.state == State.AWAITING_CONFIRMATION
    directory.go[0].set()
    assert asked.result(PATIENCE) == 303
    request = world.request(request.id)
    assert request.state == State.AWAITING_CONFIRMATION
    assert directory.accounts == {request.account_name}
    assert db.session.scalars(select(User).where(User.access_request_id == request.id)).one().temporary
    assert ada.get(world.confirm(ada), follow=True).status_code == 200


class Forgetful(Faraway):
    """A directory elsewhere that fails, once, to remove what it made too late."""

    failures = 0

    def remove(self, account: Account) -> None:
        if account.name in self.accounts and not self.failures:
            self.failures += 1
            raise ConnectorError("the directory is down")
        super().remove(account)


def test_a_late_account_whose_removal_fails_is_removed_by_the_job(
    world: World, browsers: tuple[Browser, Browser], pool: ThreadPoolExecutor
) -> None:
    """The loser of the race tries once; what it cannot remove, the ending request's own removal does."""
    ada, bea = browsers
    directory = Forgetful()
    put_in(world.app, directory)
    asked = pool.submit(ask, ada)
    assert directory.began[0].wait(PATIENCE)
    request = end(world, bea)
    directory.go[0].set()
    assert asked.result(PATIENCE) == 303
    assert directory.accounts == {request.account_name}
    retry(world)
    assert directory.accounts == set()
    assert_gone(world, request.id, "ended_by_omniadmin")


def test_a_second_try_before_its_time_does_nothing(world: World, acme: VirtualInstance) -> None:
    """Provisioning can be asked for again at any time: only a due try of a request in that state is made."""
    request = world.ask(world.signed_in(), "acme")
    told = events(request.id)
    assert not provision(request_id=request.id, runtime=world.runtime)
    assert events(request.id) == told
    assert faults(world) == []
