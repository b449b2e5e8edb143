"""P3: a write that is at work when its session ends commits nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from instances import directory
from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession, User
from tempadmin.accounts.sessions import sign_out
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tests.browser import Browser
from tests.world import World
from tickets.end import end_access
from tickets.states import EndReason

ACME = "http://acme.localhost:8000"
PATIENCE = 20


@pytest.fixture
def slow_lookup(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Stop an edit after its page was let in and before its transaction begins."""
    arrived, go_on = threading.Event(), threading.Event()
    edit = directory.edit

    def held(**arguments: object) -> None:
        arrived.set()
        assert go_on.wait(PATIENCE)
        edit(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(directory, "edit", held)
    yield arrived, go_on
    go_on.set()


def name_of(user_id: int) -> str | None:
    db.session.rollback()
    return db.session.scalar(select(User.full_name).where(User.id == user_id))


def edit_while(
    browser: Browser, user_id: int, events: tuple[threading.Event, threading.Event], meanwhile: object
) -> int:
    """Send an edit, do something while it is at work, let it go on; return its status."""
    arrived, go_on = events
    browser.get(f"{ACME}/users/{user_id}")
    status: list[int] = []
    form = {"full_name": "Changed In Flight", "role": "member"}
    worker = threading.Thread(target=lambda: status.append(browser.post("", form).status_code))
    worker.start()
    assert arrived.wait(PATIENCE)
    meanwhile()  # type: ignore[operator]
    go_on.set()
    worker.join(PATIENCE)
    return status[0]


def test_p3_an_edit_in_flight_dies_with_its_support_session(
    world: World, acme: VirtualInstance, slow_lookup: tuple[threading.Event, threading.Event]
) -> None:
    """The access is ended while a support session's form is at work: 403, and nothing was changed."""
    per = world.user(acme, "per@acme.example", full_name="Per Holm")
    ada = world.signed_in()
    request = world.enter(ada)

    def end() -> None:
        end_access(request_id=request.id, reason=EndReason.ENDED_BY_OMNIADMIN, actor=SERVICE, runtime=world.runtime)

    assert edit_while(ada, per.id, slow_lookup, end) == 403
    assert name_of(per.id) == "Per Holm"


def test_p3_an_edit_in_flight_dies_at_the_time_limit(
    world: World, acme: VirtualInstance, slow_lookup: tuple[threading.Event, threading.Event]
) -> None:
    """The clock passes the time limit while the form is at work: it is too late to commit."""
    per = world.user(acme, "per@acme.example", full_name="Per Holm")
    ada = world.signed_in()
    world.enter(ada)
    assert edit_while(ada, per.id, slow_lookup, lambda: world.clock.advance(hours=1)) == 403
    assert name_of(per.id) == "Per Holm"


def test_p3_an_administrators_edit_in_flight_dies_with_the_sign_out(
    world: World, acme: VirtualInstance, slow_lookup: tuple[threading.Event, threading.Event]
) -> None:
    """A regular session is checked again likewise."""
    per = world.user(acme, "per@acme.example", full_name="Per Holm")
    world.administrator(acme, "maria@acme.example")
    maria = world.signed_in("maria@acme.example", ACME)
    newest = db.session.scalar(select(LoginSession.id).order_by(LoginSession.id.desc()).limit(1)) or 0
    assert edit_while(maria, per.id, slow_lookup, lambda: sign_out(session_id=newest, runtime=current_runtime())) == 403
    assert name_of(per.id) == "Per Holm"


def test_an_edit_of_a_living_session_is_kept(
    app: Flask, world: World, acme: VirtualInstance, slow_lookup: tuple[threading.Event, threading.Event]
) -> None:
    """The check lets through what it should: without it the tests above would prove nothing."""
    per = world.user(acme, "per@acme.example", full_name="Per Holm")
    ada = world.signed_in()
    world.enter(ada)
    assert edit_while(ada, per.id, slow_lookup, lambda: None) == 303
    assert name_of(per.id) == "Changed In Flight"
