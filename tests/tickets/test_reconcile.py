"""Reconciliation: what accounts, requests, sessions, tickets and directories say is brought together again (P1)."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update

from tempadmin.accounts.models import LoginSession
from tempadmin.db import db, transaction
from tempadmin.doctor.findings import Level
from tests.tickets.faraway import broken, clean_up, events, said, scene_elsewhere, there
from tests.tickets.scenes import Scene, bring, live_sessions, new_scene
from tests.world import World
from tickets import reconcile
from tickets.end import end_access
from tickets.models import Ticket
from tickets.states import EndReason, State
from tickets.sweep import Swept


@pytest.fixture
def scene(world: World) -> Scene:
    return scene_elsewhere(world)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_p1_a_request_whose_account_is_gone_ends(world: World, scene: Scene, where: str) -> None:
    """Somebody deleted it in the directory, or its row here: nobody can be inside, so the access is over."""
    bring(world, scene, State.ACTIVE)
    with transaction() as session:
        session.execute(
            text("DELETE FROM drill_accounts")
            if where == "elsewhere"
            else text(f"DELETE FROM users WHERE access_request_id = {scene.request_id}")
        )
    world.clock.advance(seconds=1)
    assert broken() != []
    assert clean_up(world).gone == 1
    request = world.request(scene.request_id)
    assert (request.state, request.end_reason) == (State.ENDED, EndReason.CLEANED_UP)
    assert there(world) == []
    assert broken() == []


def test_p10_reconciliation_leaves_a_working_session_alone(world: World, scene: Scene) -> None:
    """Its account is where it belongs, in the directory and here."""
    bring(world, scene, State.ACTIVE)
    world.clock.advance(seconds=1)
    assert clean_up(world) == Swept(gone=0, found=0, told=())
    assert world.request(scene.request_id).state == State.ACTIVE
    assert said(world)[0][0] is Level.OK


def test_p3_a_session_that_no_request_stands_behind_is_revoked(world: World) -> None:
    """It opened no page any more; now its row says so too."""
    scene = new_scene(world)
    assert live_sessions(scene.user_id) == 1
    with transaction() as session:
        mine = update(LoginSession).where(LoginSession.user_id == scene.user_id)
        session.execute(mine.values(access_request_id=4711, instance_id=scene.instance_id))
    assert clean_up(world).gone == 1
    assert live_sessions(scene.user_id) == 0
    assert events(scene) == ["access.session_revoked"]


def test_p4_a_live_ticket_that_its_request_does_not_wait_for_is_voided(world: World) -> None:
    """An ended request has no key that could work."""
    scene = new_scene(world, State.AWAITING_CONFIRMATION)
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
    with transaction() as session:
        session.execute(update(Ticket).where(Ticket.request_id == scene.request_id).values(voided_at=None))
    assert clean_up(world).gone == 1
    db.session.rollback()
    assert db.session.scalars(select(Ticket.id).where(Ticket.voided_at.is_(None))).all() == []
    assert events(scene)[-1] == "access.ticket_voided"


def test_p10_each_repair_looks_again_under_lock(world: World) -> None:
    """What the sweep saw may be true no longer: a session at work and a ticket that is waited for stay as they are."""
    active, waiting = new_scene(world, State.ACTIVE), new_scene(world, State.AWAITING_CONFIRMATION)
    session_id = db.session.scalars(
        select(LoginSession.id).where(LoginSession.access_request_id == active.request_id)
    ).one()
    ticket_id = db.session.scalars(select(Ticket.id).where(Ticket.request_id == waiting.request_id)).one()
    assert not reconcile.end_gone(request_id=active.request_id, runtime=world.runtime)
    assert not reconcile.revoke_session(session_id=session_id, runtime=world.runtime)
    assert not reconcile.void_ticket(ticket_id=ticket_id, runtime=world.runtime)
    assert world.request(active.request_id).state == State.ACTIVE
