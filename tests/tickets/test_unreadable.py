"""S36: what cannot be read is denied – never allowed, and never a page that broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession, User
from tempadmin.db import db
from tests.breakage import broken, write
from tests.browser import Browser
from tests.conftest import POSTGRESQL, SQLITE
from tests.tickets.evidence import ACME, go_inside, thief, to_return
from tests.world import CONSOLE, REASON, World
from tickets.doctor import what_does_not_fit
from tickets.models import AccessRequest, Ticket

NOBODY = 999_999
BOTH = (SQLITE, POSTGRESQL)
Row = tuple[str, str, Any, tuple[str, ...]]
"""Table, column, what is written there, and the databases that can hold it."""

INSTANCE: list[Row] = [
    ("virtual_instances", "require_omniadmin", "perhaps", (SQLITE,)),
    ("virtual_instances", "require_customer", 2, (SQLITE,)),
    ("virtual_instances", "require_customer", None, (POSTGRESQL,)),
    ("virtual_instances", "require_omniadmin", None, (POSTGRESQL,)),
    ("virtual_instances", "is_default", None, (POSTGRESQL,)),
    ("virtual_instances", "max_duration_seconds", "soon", (SQLITE,)),
    ("virtual_instances", "max_duration_seconds", 1.5, (SQLITE,)),
    ("virtual_instances", "max_duration_seconds", 0, BOTH),
    ("virtual_instances", "max_duration_seconds", -60, BOTH),
    ("virtual_instances", "connector", "no such directory", BOTH),
    ("virtual_instances", "connector", "", BOTH),
    ("virtual_instances", "archived_at", "some day", (SQLITE,)),
]
REQUEST: list[Row] = [
    ("access_requests", "state", "unheard_of", BOTH),
    ("access_requests", "state", "", BOTH),
    ("access_requests", "kind", "unheard_of", BOTH),
    ("access_requests", "requester_id", NOBODY, BOTH),
    ("access_requests", "instance_id", NOBODY, BOTH),
    ("access_requests", "created_at", "once", (SQLITE,)),
    ("access_requests", "duration_seconds", "soon", (SQLITE,)),
]
READY: list[Row] = [
    *REQUEST,
    ("access_requests", "subject_id", NOBODY, BOTH),
    ("access_requests", "subject_id", None, BOTH),
    ("access_requests", "duration_seconds", 0, BOTH),
    ("access_requests", "duration_seconds", -5, BOTH),
    ("tickets", "expires_at", "later", (SQLITE,)),
    ("tickets", "purpose", "unheard_of", BOTH),
    ("users", "kind", "unheard_of", BOTH),
    ("users", "access_request_id", None, BOTH),
]
INSIDE: list[Row] = [
    *REQUEST[:6],
    ("access_requests", "ends_at", None, BOTH),
    ("access_requests", "ends_at", "later", (SQLITE,)),
    ("login_sessions", "expires_at", "later", (SQLITE,)),
    ("login_sessions", "idle_seconds", "long", (SQLITE,)),
    ("login_sessions", "user_id", NOBODY, BOTH),
    ("login_sessions", "access_request_id", NOBODY, BOTH),
    ("login_sessions", "instance_id", NOBODY, BOTH),
    ("users", "role", "king", BOTH),
    ("users", "active", None, (POSTGRESQL,)),
    ("users", "active", "", (SQLITE,)),
]


def each(rows: list[Row], database: str, **ids: int | None) -> Iterator[str]:
    """Break one row after the other, as far as this database can hold it; each is mended before the next."""
    for table, column, value, databases in rows:
        row_id = ids[table]
        if database in databases and row_id is not None:
            with broken(table, column, value, row_id=row_id):
                yield f"{table}.{column} = {value!r}"


def sessions_inside() -> int:
    """How many support sessions there are."""
    db.session.rollback()
    inside = select(func.count()).where(LoginSession.access_request_id.is_not(None), LoginSession.ended_at.is_(None))
    return db.session.scalar(inside) or 0


def look_around(browser: Browser, public_id: str, row: str) -> None:
    """The console's own pages say something, whatever stands in the row."""
    pages = ("/", "/instances", "/access", "/access?tab=all", f"/access/{public_id}", "/instances/acme/request-access")
    for path in pages:
        assert browser.get(CONSOLE + path).status_code < 500, (row, path, browser.text)


def test_s36_nobody_asks_for_an_instance_whose_policy_cannot_be_read(
    world: World, acme: VirtualInstance, database: str
) -> None:
    """No access comes about, whatever the form says; the list of instances still opens."""
    ada, instance_id = world.signed_in(), acme.id
    for row in each(INSTANCE, database, virtual_instances=instance_id):
        ada.get(f"{CONSOLE}/logout")
        sent = {"reason": REASON, "duration": "3600"}
        answer = ada.post(f"{CONSOLE}/instances/acme/request-access", sent, follow=True)
        assert answer.status_code < 500, (row, ada.text)
        assert ada.get(f"{CONSOLE}/instances").status_code < 500, (row, ada.text)
        db.session.rollback()
        states = set(db.session.scalars(select(AccessRequest.state)))
        assert states <= {"ended"}, row  # a directory that nobody knows ends its request at once
        assert db.session.scalars(select(User.id).where(User.kind == "temporary")).all() == [], row
    assert world.ask(ada, "acme").state == "awaiting_confirmation"


def test_s36_a_request_that_cannot_be_read_lets_nobody_in(world: World, acme: VirtualInstance, database: str) -> None:
    """Neither from the link nor from the last step, with a good code in hand; mended, it lets in."""
    ada = world.signed_in()
    asked = world.ask(ada, "acme")
    link, request_id, public_id = world.confirm(ada), asked.id, asked.public_id
    subject_id = world.request(request_id).subject_id
    ticket = db.session.scalars(select(Ticket.id).where(Ticket.purpose == "login")).one()
    world.clock.advance(seconds=1)
    rows = each(READY, database, access_requests=request_id, tickets=ticket, users=subject_id)
    back = to_return(ada, link)
    for row in rows:
        for step in (back, link):
            assert ada.get(step, follow=True).status_code < 500, (row, ada.text)
            assert sessions_inside() == 0, row
        look_around(ada, public_id, row)
    assert ada.get(link, follow=True).status_code == 200
    assert sessions_inside() == 1


def test_s36_the_last_step_alone_refuses_too(world: World, acme: VirtualInstance, database: str) -> None:
    """The row breaks between the console's code and the return: each code is burned, and no session comes of it."""
    ada = world.signed_in()
    asked = world.ask(ada, "acme")
    link, request_id = world.confirm(ada), asked.id
    subject_id = world.request(request_id).subject_id
    ticket = db.session.scalars(select(Ticket.id).where(Ticket.purpose == "login")).one()
    ids = {"access_requests": request_id, "tickets": ticket, "users": subject_id}
    for row in READY:
        back = to_return(ada, link)
        for name in each([row], database, **ids):
            assert ada.get(back, follow=True).status_code < 500, (name, ada.text)
            assert sessions_inside() == 0, name
    assert ada.get(link, follow=True).status_code == 200


def test_s36_a_support_session_that_cannot_be_read_is_refused(
    world: World, acme: VirtualInstance, database: str
) -> None:
    """Page and change are refused while the row is broken; the console's pages still open."""
    inside = go_inside(world)
    public_id, subject_id = inside.request.public_id, inside.request.subject_id
    session_id = db.session.scalars(select(LoginSession.id).where(LoginSession.user_id == subject_id)).one()
    browser = thief(world, inside.cookie)
    assert browser.get(f"{ACME}/users/invite").status_code == 200
    token = browser.token
    ids = {"access_requests": inside.request.id, "login_sessions": session_id, "users": subject_id}
    sent = {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}
    for row in each(INSIDE, database, **ids):
        changed = browser.post(f"{ACME}/users/invite", sent, token=token)
        assert changed.status_code in (403, 404), (row, changed.status_code)
        assert browser.get(f"{ACME}/users").status_code in (302, 403, 404), row
        look_around(inside.ada, public_id, row)
    assert browser.get(f"{ACME}/users").status_code == 200
    assert "kai@acme.example" not in browser.page


@pytest.mark.parametrize(
    ("column", "value"), [("state", "unheard_of"), ("kind", "unheard_of"), ("requester_id", NOBODY), ("state", "")]
)
def test_s36_no_button_breaks_on_a_request_that_cannot_be_read(
    world: World, acme: VirtualInstance, column: str, value: str | int
) -> None:
    """Cancel, End access, Send again and New sign-in link each answer with a page; none brings it to life."""
    ada = world.signed_in()
    asked = world.ask(ada, "acme")
    public_id, link = asked.public_id, world.confirmation_link()
    write("access_requests", column, value, row_id=asked.id)
    ada.get(f"{CONSOLE}/logout")
    for action in ("send-again", "new-link", "cancel", "end"):
        assert ada.post(f"{CONSOLE}/access/{public_id}/{action}").status_code < 500, (action, ada.text)
        ada.get(f"{CONSOLE}/logout")
    assert ada.get(link).status_code < 500
    ada.get(f"{CONSOLE}/logout")
    assert ada.post(link, {"code": world.next_code()}).status_code in (404, 403, 409, 410), ada.text
    assert sessions_inside() == 0


@pytest.mark.parametrize("column", ["state", "kind"])
def test_the_doctor_names_a_request_that_cannot_be_read(world: World, acme: VirtualInstance, column: str) -> None:
    """The refused person is sent to it, so it must not fall ill over that row itself."""
    asked = world.ask(world.signed_in(), "acme")
    public_id = asked.public_id
    write("access_requests", column, "unheard_of", row_id=asked.id)
    named = [one for one in what_does_not_fit(world.runtime) if public_id in one.message and "unheard" in one.message]
    assert named != []
