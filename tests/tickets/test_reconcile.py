"""Reconciliation: what accounts, requests, sessions, tickets and directories say is brought together again (P1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from instances.connectors import marker
from instances.connectors.drill import DRILL, Fault
from instances.models import Drill, DrillAccount, VirtualInstance
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit import queries as audit_queries
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.tickets.scenes import Scene, bring, live_sessions, new_scene
from tests.world import World
from tickets import doctor_directories
from tickets.accounts import account_of
from tickets.end import end_access
from tickets.models import AccessRequest, Leftover, Ticket
from tickets.provision import provision
from tickets.states import EndReason, State
from tickets.sweep import Swept, sweep

NOTHING = timedelta(0)


@pytest.fixture
def scene(world: World) -> Scene:
    """An omniadmin, and an instance whose directory is elsewhere."""
    scene = new_scene(world)
    with transaction() as session:
        session.execute(update(VirtualInstance).where(VirtualInstance.id == scene.instance_id).values(connector=DRILL))
    return scene


def clean_up(world: World) -> Swept:
    db.session.rollback()
    return sweep(min_age=NOTHING, runtime=world.runtime)


def there(world: World) -> list[str]:
    """The names in all drill directories."""
    db.session.rollback()
    return list(db.session.scalars(select(DrillAccount.name).order_by(DrillAccount.id)))


def put(world: World, scene: Scene, name: str, mark: str | None) -> None:
    with transaction() as session:
        session.add(DrillAccount(instance_id=scene.instance_id, name=name, marker=mark, created_at=world.clock.now()))


def has_fault(world: World, scene: Scene, fault: Fault | None) -> None:
    with transaction() as session:
        session.execute(text("DELETE FROM drills"))
        if fault is not None:
            until = world.clock.now() + timedelta(days=9)
            session.add(Drill(instance_id=scene.instance_id, fault=fault, until=until))


def broken() -> list[str]:
    return [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK]


def said(world: World) -> list[tuple[Level, str]]:
    db.session.rollback()
    return [(finding.level, finding.message) for finding in doctor_directories.look(world.runtime)]


def events(scene: Scene) -> list[str]:
    db.session.rollback()
    return list(
        reversed([event.event for event in db.session.scalars(audit_queries.events(instance_id=scene.instance_id))])
    )


def ended(world: World, scene: Scene) -> AccessRequest:
    """A request whose account was made and is gone."""
    bring(world, scene, State.AWAITING_CONFIRMATION)
    end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
    request = world.request(scene.request_id)
    assert request.state == State.ENDED
    assert there(world) == []
    return request


def test_p1_an_account_whose_request_has_ended_is_named_and_goes(world: World, scene: Scene) -> None:
    """It is back, however that came (a restored directory): our marker proves it ours, so the clean-up removes it."""
    account = account_of(ended(world, scene))
    put(world, scene, account.name, account.marker)
    world.clock.advance(seconds=1)
    assert any(account.name in message and "has ended" in message for message in broken())
    assert (said(world)[0][0], account.name in said(world)[0][1]) == (Level.ERROR, True)
    assert (clean_up(world).gone, clean_up(world).found, there(world)) == (1, 0, [])
    assert events(scene)[-2:] == ["access.leftover_found", "access.orphan_removed"]
    assert broken() == []


def test_p1_an_account_that_only_our_marker_knows_goes(world: World, scene: Scene) -> None:
    """The database is an older copy: the request never was, and the marker still proves who made the account."""
    name = "liferay_online_9_999"
    mark = marker.make(request="lost", instance_id=scene.instance_id, name=name, keys=world.runtime.keys)
    put(world, scene, name, mark)
    assert any("its request does not exist" in message for message in broken())
    assert (clean_up(world).gone, there(world)) == (1, [])
    assert broken() == []


@pytest.mark.parametrize("mark", ["none", "forged", "copied", "of another instance"])
def test_p1_what_is_not_proven_ours_is_told_of_and_left_alone(world: World, scene: Scene, mark: str) -> None:
    """A name like ours, a marker that nobody could make without our keys, or one copied from elsewhere."""
    account, name = account_of(ended(world, scene)), "liferay_online_of_old"
    other = marker.make(request="x", instance_id=scene.instance_id + 1, name=name, keys=world.runtime.keys)
    marks = {"none": None, "forged": f"{scene.public_id}.{'0' * 64}", "copied": account.marker}
    put(world, scene, name, marks.get(mark, other))
    put(world, scene, account.name, None if mark == "none" else "theirs")
    world.clock.advance(seconds=1)
    swept = clean_up(world)
    assert (swept.gone, swept.found, len(swept.told)) == (0, 0, 2)
    assert all("not proven: left alone" in told for told in swept.told)
    assert there(world) == [name, account.name]
    assert {level for level, _ in said(world)} == {Level.WARNING}
    assert "access.looks_like_ours" in events(scene)
    assert broken() == []


def test_p11_a_leftover_is_retried_for_ever_and_named_when_it_is_stuck(world: World, scene: Scene) -> None:
    """Noted, tried with growing pauses by the removal job, under Needs attention after three failures; then gone."""
    account = account_of(ended(world, scene))
    put(world, scene, account.name, account.marker)
    world.clock.advance(seconds=1)
    has_fault(world, scene, Fault.DOES_NOTHING)
    assert (clean_up(world).gone, there(world)) == (0, [account.name])
    removal = world.app.extensions["tempadmin.jobs"]["removal"]
    pauses = []
    for _ in range(6):
        db.session.rollback()
        due = db.session.scalars(select(Leftover.next_attempt_at)).one()
        pauses.append((due - world.clock.now()).total_seconds())
        world.clock.time = due
        removal.run(world.runtime)
    assert all(later > earlier for earlier, later in zip(pauses, pauses[2:], strict=False))
    assert any(level is Level.ERROR and "must go and is still there" in message for level, message in said(world))
    has_fault(world, scene, None)
    db.session.rollback()
    world.clock.time = db.session.scalars(select(Leftover.next_attempt_at)).one()
    assert removal.run(world.runtime) == "0 made, 0 removed, 1 leftovers gone"
    assert there(world) == []
    assert db.session.scalars(select(Leftover)).all() == []
    assert said(world)[0][0] is Level.OK


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


def test_p11_a_directory_that_does_not_answer_holds_up_nothing_else(world: World, scene: Scene) -> None:
    """It is told of; what another instance left over goes all the same."""
    has_fault(world, scene, Fault.REFUSES)
    other = new_scene(world, State.ACTIVE)
    world.clock.advance(days=2)
    swept = clean_up(world)
    assert (swept.gone, swept.found) == (1, 1)
    assert len(swept.told) == 1
    assert "its directory was not read: the directory refuses" in swept.told[0]
    assert world.request(other.request_id).state == State.ENDED
    assert [level for level, _ in said(world)] == [Level.WARNING]
    assert any("does not say what it has" in message for message in broken())


def test_p11_a_late_create_whose_request_has_ended_is_noted_and_goes(world: World, scene: Scene) -> None:
    """The directory took longer than twice its time-out, and then would not remove it either."""
    bring(world, scene, State.PROVISIONING)
    connector = world.app.extensions["tempadmin.connectors"][DRILL]
    real_add = connector.add

    def late(account: object) -> None:
        connector.add = real_add
        end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=scene.actor, runtime=world.runtime)
        world.clock.advance(minutes=1)
        world.app.extensions["tempadmin.jobs"]["removal"].run(world.runtime)
        assert world.request(scene.request_id).state == State.ENDED
        real_add(account)
        has_fault(world, scene, Fault.DOES_NOTHING)

    connector.add = late
    provision(request_id=scene.request_id, runtime=world.runtime)
    db.session.rollback()
    assert db.session.scalars(select(Leftover.why)).all() == ["it was made after its request had ended"]
    has_fault(world, scene, None)
    world.clock.advance(minutes=1)
    world.app.extensions["tempadmin.jobs"]["removal"].run(world.runtime)
    assert there(world) == []
    assert broken() == []
    assert [user.id for user in db.session.scalars(select(User).where(User.kind == "temporary"))] == []
    assert db.session.scalars(select(LoginSession.id).where(LoginSession.access_request_id.is_not(None))).all() == []
