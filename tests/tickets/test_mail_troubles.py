"""A mail server on a bad day: the request stands, the mail is tried again, and the request's page says so in words."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

import tempadmin.outbox.mail
from tempadmin.db import db, transaction
from tempadmin.outbox.models import OutboxMessage
from tempadmin.outbox.queue import deliver_due, enqueue
from tests.browser import Browser
from tests.conftest import Build
from tests.smtp import Server, running
from tests.world import CONSOLE, World, link_in, plain
from tickets.notices import NOT_ME


@pytest.fixture
def server() -> Iterator[tuple[Server, Controller]]:
    with running() as both:
        yield both


@pytest.fixture
def world(build: Build, server: tuple[Server, Controller]) -> World:
    """Ada and Acme; mails go to the server."""
    world = build(mail_url=f"smtp://127.0.0.1:{server[1].port}")
    world.omniadmin()
    world.instance("acme", "Acme Logistics")
    return world


def asked(world: World) -> Browser:
    """Ada asks; she is on the request's page."""
    ada = world.signed_in()
    assert world.ask(ada, "acme").state == "awaiting_confirmation"
    return ada


def page(world: World, ada: Browser) -> str:
    """What the request's page says."""
    assert ada.get(f"{CONSOLE}/access/{world.newest_request().public_id}").status_code == 200
    return ada.text


@pytest.mark.parametrize(
    ("kind", "why"),
    [("down", "could not be reached"), ("slow", "could not be reached"), ("later", "answered 451|refused the address")],
)
def test_a_mail_server_on_a_bad_day_keeps_nobody_from_asking(
    kind: str, why: str, build: Build, server: tuple[Server, Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down, silent or busy: the page says what is wrong, when it is tried again, and what one can do; it is."""
    monkeypatch.setattr(tempadmin.outbox.mail, "TIMEOUT_SECONDS", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        if kind == "down":
            server[1].stop()
        server[0].reply = "451 later"
        port = silent.getsockname()[1] if kind == "slow" else server[1].port
        world = build(mail_url=f"smtp://127.0.0.1:{port}")
        world.omniadmin()
        world.instance("acme", "Acme Logistics")
        ada = asked(world)
        text = page(world, ada)
        assert re.search(why, text)
        assert "Your request stands, and the mail is tried again by itself, next at" in text
        assert "press Send again, or cancel the request" in text
        world.clock.advance(seconds=15)
        assert deliver_due(world.runtime) == "0 of 1 mails sent"
        assert "next at" in page(world, ada)


def test_a_mail_that_went_out_later_is_no_trouble_any_more(world: World, server: tuple[Server, Controller]) -> None:
    """The note goes, and the link in the mail works."""
    server[0].reply = "451 later"
    ada = asked(world)
    assert "451" in page(world, ada)
    server[0].reply = "250 OK"
    world.clock.advance(seconds=15)
    assert deliver_due(world.runtime) == "1 of 1 mails sent"
    assert "tried again by itself" not in page(world, ada)
    assert ada.get(link_in("\n" + plain(server[0].messages[-1]))).status_code == 200


def test_an_address_that_is_refused_for_good_is_said_to_be(world: World, server: tuple[Server, Controller]) -> None:
    """Nothing promises a mail that will not come; when the trouble is mended, Send again sends one."""
    server[0].reply = "550 no such user"
    ada = asked(world)
    text = page(world, ada)
    assert "refused the address ada@operator.example (550). It is not tried again." in text
    assert "tried again by itself" not in text
    server[0].reply = "250 OK"
    ada.post(f"/access/{world.newest_request().public_id}/send-again", follow=True)
    assert len(server[0].mails) == 1
    assert "not tried again" not in page(world, ada)


def test_a_mail_whose_link_was_replaced_is_not_sent_late(world: World, server: tuple[Server, Controller]) -> None:
    """Two mails wait, one with a worthless link: only the other goes out when the server is back."""
    server[0].reply = "451 later"
    ada = asked(world)
    ada.post(f"/access/{world.newest_request().public_id}/send-again", follow=True)
    server[0].reply = "250 OK"
    world.clock.advance(seconds=30)
    db.session.rollback()
    assert deliver_due(world.runtime) == "1 of 2 mails sent"
    assert len(server[0].mails) == 1
    assert ada.get(link_in("\n" + plain(server[0].messages[0]))).status_code == 200


def test_one_request_waits_for_a_bad_server_once(world: World, server: tuple[Server, Controller]) -> None:
    """Of several mails of one transaction only the first is tried at once; the job does the others."""
    readers = [world.omniadmin(f"{name}@operator.example", name.title()).id for name in ("ben", "cid", "dan")]
    asked(world)
    request_id = world.newest_request().id
    server[0].reply, server[0].tried = "451 later", 0
    with world.app.test_request_context(), transaction():
        for reader in readers:
            ids = {"request": request_id, "reader": reader}
            enqueue(NOT_ME, recipient="ben@operator.example", ids=ids, now=world.clock.now(), runtime=world.runtime)
    assert server[0].tried == 1
    db.session.rollback()
    waiting = select(OutboxMessage.id).where(OutboxMessage.template == NOT_ME, OutboxMessage.sent_at.is_(None))
    assert len(db.session.scalars(waiting).all()) == 3
    server[0].reply = "250 OK"
    world.clock.advance(seconds=15)
    assert deliver_due(world.runtime) == "3 of 3 mails sent"


def test_mails_to_several_people_wait_for_the_job(world: World, server: tuple[Server, Controller]) -> None:
    """A request that was not one's own is told to every other omniadmin; the answer waits for no mail server."""
    for name in ("ben", "cid", "dan"):
        world.omniadmin(f"{name}@operator.example", name.title())
    ada = asked(world)
    link = link_in("\n" + plain(server[0].messages[-1]))
    ada.get(link)
    server[0].tried = 0
    assert ada.post(link.replace("/confirm?", "/not-me?")).status_code == 303
    assert server[0].tried == 0
    db.session.rollback()
    assert deliver_due(world.runtime) == "3 of 3 mails sent"
