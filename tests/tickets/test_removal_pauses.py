"""P11: a removal that fails is retried for ever, with growing, jittered pauses of an hour and a quarter at most."""

from __future__ import annotations

from datetime import timedelta

from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tests.tickets.evidence import assert_gone
from tests.world import World
from tickets.end import end_access
from tickets.expire import retry_due
from tickets.models import AccessRequest
from tickets.removal_outcome import growing_pause
from tickets.states import EndReason, State

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def test_p11_pauses_grow_from_seconds_to_an_hour_and_are_jittered() -> None:
    """Doubled each time up to an hour, a quarter more or less, never twice the same; a thousand failures are no end."""
    for failures in (*range(1, 15), 40, 1000):
        middle = min(5 * SECOND * 2 ** (failures - 1), HOUR) if failures < 15 else HOUR
        pauses = [growing_pause(failures) for _ in range(200)]
        assert 0.75 * middle <= min(pauses) < 0.9 * middle
        assert 1.1 * middle < max(pauses) <= 1.25 * middle
        assert len(set(pauses)) > 100


def test_p11_a_removal_is_retried_for_ever_also_when_its_connector_was_uninstalled(
    world: World, acme: VirtualInstance
) -> None:
    """Forty failures later it is due again within an hour and a quarter; installed again, it is done."""
    world.instance("borealis", connector="elsewhere")
    connectors(world.app)["elsewhere"] = LocalConnector()
    request: AccessRequest = world.ask(world.signed_in(), "borealis")
    del connectors(world.app)["elsewhere"]
    end_access(request_id=request.id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    for failures in range(1, 41):
        request = world.request(request.id)
        assert (request.state, request.removal_failures) == (State.ENDING, failures)
        assert request.next_attempt_at is not None
        pause = request.next_attempt_at - world.clock.now()
        middle = min(5 * SECOND * 2 ** min(failures - 1, 12), HOUR)
        assert 0.75 * middle <= pause <= 1.25 * middle
        world.clock.time = request.next_attempt_at - SECOND
        db.session.rollback()
        retry_due(world.runtime)
        assert world.request(request.id).removal_failures == failures
        world.clock.advance(seconds=1)
        db.session.rollback()
        retry_due(world.runtime)
    connectors(world.app)["elsewhere"] = LocalConnector()
    world.clock.advance(hours=2)
    db.session.rollback()
    retry_due(world.runtime)
    assert_gone(world, request.id, "cancelled")
