"""P1: the embedded directory is our own database, so an account is made by the transaction that asks for it."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from instances.connectors.base import ConnectorError
from instances.models import VirtualInstance
from tempadmin import failpoints
from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.db import db
from tests.browser import Browser
from tests.failpoints.points import STEPS
from tests.tickets.directories import Moody, Outside, put_in
from tests.tickets.evidence import events, faults
from tests.world import World
from tickets.states import State

ASK = "tickets.request.request_access"
MAKE = "tickets.at_once.make_at_once"
SIGNED = ("tempadmin.", "scheduler.")
"""Transactions of these floors are none of asking's: the session's last use, mails."""


@pytest.fixture
def ada(world: World, acme: VirtualInstance) -> Browser:
    """The browser of an omniadmin who may ask for access to Acme."""
    return world.signed_in()


def asked(world: World, ada: Browser) -> list[str]:
    """Ask by the form; return the steps at which the process might have died."""
    seen: list[str] = []
    failpoints.hook = seen.append
    try:
        world.ask(ada, "acme")
    finally:
        failpoints.hook = None
    return [point for point in seen if not point.startswith(SIGNED)]


def accounts() -> list[tuple[str | None, bool]]:
    db.session.rollback()
    rows = db.session.execute(select(User.screen_name, User.active).where(User.kind == TEMPORARY))
    return [(name, active) for name, active in rows]


def test_p1_request_and_account_are_committed_together(world: World, ada: Browser) -> None:
    """One transaction, between whose steps nobody can die: it awaits confirmation, and both are on record."""
    seen = asked(world, ada)
    begun, *ends = STEPS
    assert seen == [
        f"{ASK}:{begun}",
        f"{MAKE}:before create",
        f"{MAKE}:after create",
        *(f"{ASK}:{end}" for end in ends),
    ]
    request = world.newest_request()
    assert request.state == State.AWAITING_CONFIRMATION
    assert accounts() == [(request.account_name, False)]
    assert events(request.id) == ["access.requested", "access.provisioned"]
    assert faults(world) == []


def test_p1_a_request_stands_although_its_account_could_not_be_made_with_it(world: World, ada: Browser) -> None:
    """Nothing is left of that try: it is asked for again, and its account tried for in the usual three steps."""
    moody = Moody()
    moody.create_error = ConnectorError("the directory is down")
    put_in(world.app, moody)
    world.ask(ada, "acme")
    request = world.newest_request()
    assert (request.state, request.create_attempts) == (State.PROVISIONING, 1)
    assert accounts() == [(request.account_name, False)]
    assert events(request.id) == ["access.requested", "access.provisioning_failed"]


def test_a_directory_elsewhere_is_called_outside_of_transactions(world: World, ada: Browser) -> None:
    """The intent is committed, the directory called, the outcome committed (design §2)."""
    put_in(world.app, Outside())
    seen = asked(world, ada)
    assert seen.index(f"{ASK}:committed") < seen.index("tickets.provision.provision:before create")
    assert not any(point.startswith(MAKE) for point in seen)
    assert world.newest_request().state == State.AWAITING_CONFIRMATION
