"""The redemption itself, below the pages: what it writes, and each reason for which it refuses (S03, S04, P2)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tempadmin.errors import Conflict, DomainError, Forbidden, Gone, Unreadable
from tempadmin.outbox.models import OutboxMessage
from tests.breakage import write
from tests.tickets.doors import HOUR, Door, open_door, request_of, row_of, ticket_of
from tests.tickets.evidence import events, faults
from tests.tickets.scenes import new_scene
from tests.world import World
from tickets.redeem import OtherTab
from tickets.states import State

NOBODY = 999_999
SPENT = "This link was used already, replaced by a newer one, or its time is over."
POWERLESS = "Whoever asked for this access may not enter any more."
NO_ACCOUNT = "The account that was to be entered is gone, or has changed."
UNREADABLE = "What the database says of this access cannot be read, so it is not allowed. Run: tempadmin doctor"
OLDER = "This window belongs to an older try. Your link still works: start again."


@pytest.fixture
def door(world: World) -> Door:
    return open_door(world, new_scene(world, State.READY))


def test_p2_a_redemption_writes_one_session_and_all_that_belongs_to_it(world: World, door: Door) -> None:
    """Session, request, ticket, account, event and mail, each with its moment and the real person."""
    confirmed_at = request_of(door).confirmed_at
    now = world.clock.advance(seconds=7)
    secret = door.enter(world)
    assert secret.startswith("support.")
    row, request, ticket = row_of(world, secret, door), request_of(door), ticket_of(door)
    assert (row.user_id, row.actor_id, row.actor_name) == (request.subject_id, door.scene.user_id, "Ada Brandt")
    assert (row.instance_id, row.access_request_id) == (door.scene.instance_id, request.id)
    assert (row.created_at, row.last_seen_at, row.expires_at) == (now, now, now + HOUR)
    assert (row.idle_seconds, row.mfa_at) == (1800, confirmed_at)
    assert (row.address, row.user_agent, row.ended_at) == ("192.0.2.7", "A browser", None)
    assert (request.state, request.state_since) == (State.ACTIVE, now)
    assert (request.started_at, request.ends_at) == (now, now + HOUR)
    assert (ticket.used_at, ticket.voided_at, ticket.code_digest) == (now, None, None)
    assert db.session.get_one(User, request.subject_id).active
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.event == "access.entered")).one()
    assert (event.instance_id, event.request_id, event.occurred_at) == (door.scene.instance_id, request.id, now)
    assert (event.actor_id, event.actor_name) == (door.scene.user_id, "Ada Brandt")
    assert json.loads(event.details) == {"account": request.account_name, "address": "192.0.2.7"}
    mail = db.session.scalars(select(OutboxMessage).where(OutboxMessage.template == "entered")).one()
    assert (mail.recipient, mail.request_id) == (door.scene.address, request.id)
    assert faults(world) == []


def test_s04_a_second_redemption_finds_the_link_used(world: World, door: Door) -> None:
    """With the same code, and with any other."""
    door.enter(world)
    for code in (door.code, "another", ""):
        with pytest.raises(Gone) as caught:
            replace(door, code=code).enter(world)
        assert caught.value.message == SPENT
    assert events(door.scene.request_id).count("access.entered") == 1


Break = tuple[str, str, Any, type[DomainError], str]
BREAKS: dict[str, Break] = {
    "expired": ("tickets", "expires_at", "now", Gone, SPENT),
    "used": ("tickets", "used_at", "now", Gone, SPENT),
    "voided": ("tickets", "voided_at", "now", Gone, SPENT),
    "not confirmed": ("access_requests", "state", "awaiting_confirmation", Gone, SPENT),
    "active already": ("access_requests", "state", "active", Gone, SPENT),
    "ending": ("access_requests", "state", "ending", Gone, SPENT),
    "unheard of": ("access_requests", "state", "unheard_of", Gone, SPENT),
    "no requester": ("access_requests", "requester_id", NOBODY, Gone, POWERLESS),
    "inactive requester": ("requester", "active", False, Gone, POWERLESS),
    "requester without the role": ("requester", "role", "administrator", Gone, POWERLESS),
    "no account": ("access_requests", "subject_id", NOBODY, Gone, NO_ACCOUNT),
    "a regular account": ("account", "kind", "regular", Gone, NO_ACCOUNT),
    "another request's account": ("account", "access_request_id", NOBODY, Gone, NO_ACCOUNT),
    "another instance's account": ("account", "instance_id", 1, Gone, NO_ACCOUNT),
    "a kind unheard of": ("access_requests", "kind", "unheard_of", Unreadable, UNREADABLE),
    "another kind": ("access_requests", "kind", "impersonation", Gone, NO_ACCOUNT),
    "no duration": ("access_requests", "duration_seconds", 0, Unreadable, UNREADABLE),
    "code too old": ("tickets", "code_expires_at", "now", OtherTab, OLDER),
    "code of another": ("tickets", "code_digest", "0" * 64, OtherTab, OLDER),
    "challenge of another": ("tickets", "code_challenge", "c" * 43, OtherTab, OLDER),
}


def put(world: World, door: Door, one: Break) -> None:
    table, column, value, _kind, _words = one
    ids = {
        "tickets": ticket_of(door).id,
        "access_requests": door.scene.request_id,
        "requester": door.scene.user_id,
        "account": request_of(door).subject_id,
    }
    moment: datetime | str = world.clock.now()
    if db.engine.dialect.name == "sqlite":
        moment = f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    row_id = ids[table]
    assert row_id is not None
    real = "users" if table in ("requester", "account") else table
    write(real, column, moment if value == "now" else value, row_id=row_id)


@pytest.mark.parametrize("name", BREAKS)
def test_s03_each_single_reason_refuses_and_burns_the_code(world: World, door: Door, name: str) -> None:
    """Everything else is right. The sentence is exact, no session is made, nothing moves, and the code is gone."""
    _table, _column, _value, kind, words = BREAKS[name]
    put(world, door, BREAKS[name])
    state, told = request_of(door).state, events(door.scene.request_id)
    with pytest.raises(kind) as caught:
        door.enter(world)
    assert (type(caught.value), caught.value.message) == (kind, words)
    assert (request_of(door).state, events(door.scene.request_id)) == (state, told)
    inside = select(LoginSession.id).where(LoginSession.access_request_id.is_not(None))
    assert db.session.scalars(inside).all() == []
    ticket = ticket_of(door)
    assert (ticket.used_at is None) == (name != "used")
    assert name == "code of another" or ticket.code_digest is None
    account = db.session.get(User, request_of(door).subject_id or 0)
    assert account is None or not account.active


def test_s03_a_ticket_opens_nothing_on_another_instance(world: World, door: Door) -> None:
    """Nor where its request speaks of no account at all; there its code is not even looked at."""
    elsewhere = world.instance("elsewhere").id
    with pytest.raises(Gone) as caught:
        door.enter(world, instance_id=elsewhere)
    assert caught.value.message == SPENT
    write("access_requests", "subject_id", None, row_id=door.scene.request_id)
    with pytest.raises(Gone) as caught:
        door.enter(world)
    assert caught.value.message == SPENT
    assert ticket_of(door).code_digest is not None


def test_s22_an_account_that_acts_already_gets_no_second_session(world: World, door: Door) -> None:
    """Only an inactive account is let in; nothing of the attempt stays."""
    write("users", "active", True, row_id=request_of(door).subject_id or 0)
    with pytest.raises(Conflict, match=r"^The temporary account was active already\.$"):
        door.enter(world)
    assert request_of(door).state == State.READY
    assert ticket_of(door).used_at is None


@pytest.mark.parametrize(("column", "value"), [("role", "administrator"), ("active", False)])
def test_p5_whoever_lost_the_role_by_hand_gets_no_code(world: World, column: str, value: object) -> None:
    """Below the pages, which refuse before: the console looks at the person again under lock."""
    scene = new_scene(world, State.READY)
    write("users", column, value, row_id=scene.user_id)
    with pytest.raises(Forbidden, match=r"^Only active omniadmins can enter an instance\.$"):
        open_door(world, scene)
