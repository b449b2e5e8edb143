"""Directories elsewhere, under a test's hand: what they hold, what they have wrong, what the clean-up makes of it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, text, update

from instances.connectors.drill import DRILL, Fault
from instances.models import Drill, DrillAccount, VirtualInstance
from tempadmin.audit import queries as audit_queries
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets import doctor_directories
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.states import EndReason, State
from tickets.sweep import Swept, sweep

NOTHING = timedelta(0)


def scene_elsewhere(world: World) -> Scene:
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
