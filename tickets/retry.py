"""Which removals the job goes on with, and in which order: one that works never waits for one that may time out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select, tuple_

from tempadmin.db import db
from tempadmin.runtime import Runtime
from tickets.models import AccessRequest
from tickets.removal import attempt, due
from tickets.states import State

Place = tuple[str, int]
"""A connector's name and an instance: what one outage concerns."""


def remove_where_it_works(runtime: Runtime) -> int:
    """Remove whatever is due where no removal has failed, the connectors by turns; return how many are gone."""
    works, removed, claimed = ~_in_trouble(), 0, True
    while claimed:
        names = select(AccessRequest.connector).where(due(runtime.now()), works).distinct()
        claimed = False
        for name in db.session.scalars(names.order_by(AccessRequest.connector)).all():
            tried, ended = attempt(name, works, runtime)
            claimed, removed = claimed or tried > 0, removed + ended
    return removed


def places_in_trouble(now: datetime) -> list[Place]:
    """Return where a removal failed and one is due, the longest due first."""
    where = AccessRequest.connector, AccessRequest.instance_id
    places = select(*where).where(due(now), _in_trouble()).group_by(*where)
    by_turns = places.order_by(func.min(AccessRequest.next_attempt_at))
    return [(name, instance_id) for name, instance_id in db.session.execute(by_turns)]


def remove_in_trouble(place: Place, runtime: Runtime) -> int:
    """Go on where a removal failed, until nothing of a batch succeeds; return how many are gone."""
    name, instance_id = place
    removed, ended = 0, 1
    while ended:
        _tried, ended = attempt(name, AccessRequest.instance_id == instance_id, runtime)
        removed += ended
    return removed


def _in_trouble() -> ColumnElement[bool]:
    """Return the condition of a removal at an instance where one has failed."""
    failed = select(AccessRequest.connector, AccessRequest.instance_id).where(
        AccessRequest.state == State.ENDING, AccessRequest.removal_failures > 0
    )
    return tuple_(AccessRequest.connector, AccessRequest.instance_id).in_(failed)
