"""Every fault of a directory is met by somebody who goes in: let in when it works, not said so before (P1, P11)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from instances.connectors.drill import Fault, set_fault
from instances.models import DrillAccount
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.doctor.cli import examine_promises
from tempadmin.doctor.findings import Level
from tests.tickets.evidence import assert_gone
from tests.tickets.hanging import bring_in, remove_due
from tests.tickets.scenes import bring
from tests.tickets.vault import put_in, scene_with
from tests.world import World
from tickets.activation import activate_due
from tickets.end import end_access
from tickets.states import EndReason, State

pytestmark = pytest.mark.only_sqlite  # what a directory answers has nothing to do with our database

LASTS = timedelta(minutes=20)
HARMLESS = {Fault.OTHER_ID, Fault.TWICE}
"""What is about an entry's making leaves its activation as it is."""


def still_there(world: World) -> list[str]:
    """The names in the directory, but for what took its time to go."""
    seen = DrillAccount.gone_at.is_(None) | (DrillAccount.gone_at > world.clock.now())
    return list(db.session.scalars(select(DrillAccount.name).where(seen)))


@pytest.mark.parametrize("fault", Fault)
def test_p1_no_fault_of_a_directory_spoils_an_activation(world: World, fault: Fault) -> None:
    """Tried until it works, called done when the directory has it, and with the end all of it is gone."""
    scene = scene_with(world, put_in(world))
    bring(world, scene, State.READY)
    set_fault(scene.instance_id, fault, until=world.clock.now() + LASTS)
    began = world.clock.now()
    if fault in HARMLESS:
        with pytest.raises(AssertionError):  # for it says that nobody was let in yet
            bring_in(world, scene)
    else:
        bring_in(world, scene)
    tries = 0
    while world.request(scene.request_id).activated_at is None:
        tries += 1
        assert world.clock.now() < began + 2 * LASTS
        assert world.request(scene.request_id).last_error
        world.clock.advance(seconds=30)
        db.session.rollback()
        activate_due(world.runtime)
    db.session.rollback()
    assert list(db.session.scalars(select(DrillAccount.active))) == [True]
    assert (tries == 0) == (fault in HARMLESS)
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    while world.request(scene.request_id).state != State.ENDED:
        assert world.clock.now() < began + 3 * LASTS
        world.clock.advance(minutes=2)
        remove_due(world)
    assert_gone(world, scene.request_id, "logout")
    assert still_there(world) == []
    assert [line.finding.message for line in examine_promises() if line.finding.level is not Level.OK] == []


@pytest.mark.parametrize("fault", [Fault.HANGS, Fault.DOES_NOTHING, Fault.TIMES_OUT, Fault.DIES_HALF_WAY])
def test_p1_an_end_before_anybody_was_let_in_leaves_nothing(world: World, fault: Fault) -> None:
    """The directory never let them in, and has the same fault while the account is removed."""
    scene = scene_with(world, put_in(world))
    bring(world, scene, State.READY)
    set_fault(scene.instance_id, fault, until=world.clock.now() + LASTS)
    bring_in(world, scene)
    began = world.clock.now()
    end_access(request_id=scene.request_id, reason=EndReason.LOGOUT, actor=SERVICE, runtime=world.runtime)
    while world.request(scene.request_id).state != State.ENDED:
        assert world.clock.now() < began + 3 * LASTS
        world.clock.advance(minutes=2)
        remove_due(world)
    assert_gone(world, scene.request_id, "logout")
    assert still_there(world) == []
