"""P11: how the removals stand, in numbers: pending, stuck, said to be removed by hand, failures, the oldest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from instances.connectors.base import ConnectorError
from instances.models import VirtualInstance
from tempadmin.audit.log import SERVICE
from tempadmin.db import transaction
from tests.tickets.directories import Moody, put_in
from tests.world import World
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.queries import RemovalFigures, removal_figures
from tickets.states import EndReason

NOTHING = RemovalFigures(pending=0, stuck=0, by_hand=0, failed_attempts=0, oldest_seconds=0)


def figures(world: World) -> RemovalFigures:
    world.request(1)
    return removal_figures(world.clock.now())


def write(request_id: int, **values: Any) -> None:
    with transaction() as session:
        session.execute(update(AccessRequest).where(AccessRequest.id == request_id).values(**values))


def test_p11_removals_are_counted_by_how_they_stand(world: World, acme: VirtualInstance) -> None:
    """An open request counts for nothing; a failing removal is pending, then stuck, then somebody's word."""
    directory = Moody()
    put_in(world.app, directory)
    request = world.ask(world.signed_in(), "acme")
    assert figures(world) == NOTHING
    directory.remove_error = ConnectorError("down")
    end_access(request_id=request.id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=world.runtime)
    world.clock.advance(minutes=14, seconds=59)
    young = RemovalFigures(pending=1, stuck=0, by_hand=0, failed_attempts=1, oldest_seconds=899)
    assert figures(world) == young
    world.clock.advance(seconds=1)
    assert figures(world) == RemovalFigures(pending=1, stuck=1, by_hand=0, failed_attempts=1, oldest_seconds=900)
    write(request.id, ending_at=world.clock.now(), removal_failures=3)
    assert figures(world) == RemovalFigures(pending=1, stuck=1, by_hand=0, failed_attempts=3, oldest_seconds=0)
    write(request.id, removed_by_hand_at=world.clock.now())
    said = RemovalFigures(pending=1, stuck=0, by_hand=1, failed_attempts=3, oldest_seconds=0)
    assert figures(world) == said
