"""What a page and each step cost, in SQL statements: they are counted, for times depend on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.outbox.models import OutboxMessage
from tests.browser import Browser
from tests.conftest import Build
from tests.statements import statements
from tests.world import CONSOLE, World
from tickets.states import State

ACME = "http://acme.localhost:8000"
MOST_OF_A_PAGE = 7
"""The instance by its host, the session with its user, its request, and what is shown; then, in one transaction, the
count of this request's visits, the note that the session was used, and the row of activity. Where half the idle limit
is over, the use is noted at the beginning too."""


def cost(world: World, step: Callable[[], object]) -> int:
    """How many statements a step sends."""
    with statements() as seen:
        step()
    return len(seen)


@pytest.fixture
def ada(world: World, acme: VirtualInstance) -> Browser:
    """The browser of an omniadmin who may ask for access to Acme."""
    return world.signed_in()


def test_a_page_as_temporary_administrator_costs_at_most_seven_statements(
    ada: Browser, acme: VirtualInstance, world: World
) -> None:
    """On every page of the panel, the first time and each time after, however long the pause between two clicks."""
    member = world.user(acme, "member@acme.example").id
    world.enter(ada)
    for path in ("/", "/users", "/users?q=member", "/users/invite", f"/users/{member}", "/settings"):
        for pause in (1, 0, 300):
            world.clock.advance(seconds=pause)
            with statements() as seen:
                assert ada.get(ACME + path).status_code == 200
            assert len(seen) <= MOST_OF_A_PAGE, (path, seen)


def test_where_no_mail_is_sent_none_is_queued(build: Build) -> None:
    """Somebody enters and leaves: nobody is looked for who might be told."""
    world = build(mail_url="none")
    world.administrator(world.instance("acme"), "admin@acme.example")
    world.omniadmin()
    ada = world.signed_in()
    asked = world.ask(ada, "acme")
    with statements() as seen:
        ada.post(f"{CONSOLE}/access/{asked.public_id}/confirmation", follow=True)
        ada.post(ada.url, {"code": world.next_code()})
        ada.get(ada.link(r"http://[a-z0-9.-]+(:\d+)?/login/ticket\?key=[\w.-]+"), follow=True)
        assert world.request(asked.id).state == State.ACTIVE
        ada.post("/support-session/leave")
    assert world.request(asked.id).state == State.ENDED
    assert [said for said in seen if "outbox" in said or "password_hash IS NOT NULL" in said] == []
    assert db.session.scalars(select(OutboxMessage)).all() == []


def test_the_list_of_instances_costs_the_same_however_many_there_are(ada: Browser, world: World) -> None:
    """No statement per row: neither for their policies and products, nor for what goes on there."""
    ada.get(CONSOLE + "/instances")
    few = cost(world, lambda: ada.get(CONSOLE + "/instances"))
    for number in range(5):
        world.instance(f"c{number}")
        if number < 3:
            world.ask(ada, f"c{number}")
    assert cost(world, lambda: ada.get(CONSOLE + "/instances")) == few <= 5
    assert ada.text.count("Ada Brandt on the way") == 3


def test_the_list_of_requests_costs_the_same_however_many_there_are(ada: Browser, world: World) -> None:
    """No statement per row here either."""
    world.ask(ada, "acme")
    one = cost(world, lambda: ada.get(CONSOLE + "/access"))
    for number in range(3):
        world.instance(f"c{number}")
        world.ask(ada, f"c{number}")
    assert cost(world, lambda: ada.get(CONSOLE + "/access")) == one <= 3
    assert ada.text.count("Acme Logistics") == 1


def test_the_peoples_list_costs_the_same_however_many_there_are(acme: VirtualInstance, world: World) -> None:
    """An administrator's own list of people, too, with the question whether support asks or is inside."""
    world.administrator(acme, "admin@acme.example")
    admin = world.signed_in("admin@acme.example", ACME)
    few = cost(world, lambda: admin.get(ACME + "/users"))
    for number in range(5):
        world.user(acme, f"member{number}@acme.example")
    assert cost(world, lambda: admin.get(ACME + "/users")) == few <= 4
