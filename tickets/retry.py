"""What the job goes on with: what is quickly done first and in between, what asks directories elsewhere in lanes.

Our own table takes removals in batches, and never keeps anybody waiting. Whatever may (a directory elsewhere, a product
to be told, a place where something failed) belongs to its instance's lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, case, func, or_, select, tuple_
from sqlalchemy.exc import OperationalError

from instances.connectors.base import Entry
from tempadmin.db import db
from tempadmin.jobs import may_go_on
from tempadmin.runtime import Runtime
from tickets.batches import Pace
from tickets.lanes import Kind, Place, Waiting, go_through
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.removal import attempt, due, is_elsewhere, remove_all
from tickets.removal_at_once import candidates
from tickets.states import State

MADE, REMOVED = "made", "removed"
MOST_CREATES, LOOK_AT_ONCE = 200, 2000

log = structlog.get_logger()


def go_on(kinds: Iterable[Kind], runtime: Runtime) -> Counter[str]:
    """Go on with creates, removals and whatever else is due; return how much of each succeeded."""
    creates = Kind(MADE, _creates_elsewhere, _create)
    removals = Kind(REMOVED, _removals_elsewhere, _remove)
    return go_through([creates, removals, *kinds], runtime, meanwhile=lambda: _quickly(runtime))


def _quickly(runtime: Runtime) -> Counter[str]:
    """Make and remove what is due in our own table; before each create all removals that have become due."""
    done = Counter({REMOVED: _remove_at_once(runtime)})
    query = select(AccessRequest.id).where(_create_is_due(runtime.now()), ~_takes_a_lane())
    for request_id in db.session.scalars(query.order_by(AccessRequest.next_attempt_at).limit(MOST_CREATES)).all():
        try:
            done[MADE] += provision(request_id=request_id, runtime=runtime)
        except OperationalError:
            raise  # the database is away: the others would fail alike
        except Exception:
            log.exception("retry.failed", request_id=request_id)  # and no other request waits for this one
        done[REMOVED] += _remove_at_once(runtime)
    return done


def _remove_at_once(runtime: Runtime) -> int:
    """Remove whatever is due and takes no lane, the connectors by turns; return how many are gone."""
    quick, removed, gone, pace = ~or_(_takes_a_lane(), _in_trouble()), 0, 1, Pace()
    while gone and may_go_on():
        names = select(AccessRequest.connector).where(due(runtime.now()), quick).distinct()
        gone = 0
        for name in db.session.scalars(names.order_by(AccessRequest.connector)).all():
            these = candidates(due(runtime.now(), name) & quick, LOOK_AT_ONCE)
            gone += remove_all(these, runtime, pace, wait=False)
        removed += gone
    return removed


def _create(place: Place, runtime: Runtime) -> tuple[int, int]:
    here = (AccessRequest.connector == place[0]) & (AccessRequest.instance_id == place[1])
    oldest = select(AccessRequest.id).where(_create_is_due(runtime.now()), here).order_by(AccessRequest.next_attempt_at)
    request_id = db.session.scalar(oldest.limit(1))
    return (0, 0) if request_id is None else (1, int(provision(request_id=request_id, runtime=runtime)))


def _remove(place: Place, runtime: Runtime) -> tuple[int, int]:
    return attempt(place[0], AccessRequest.instance_id == place[1], runtime)


def _creates_elsewhere(now: datetime) -> Iterable[Waiting]:
    failures = func.max(AccessRequest.create_attempts) - 1
    return _by_place(_create_is_due(now) & _takes_a_lane(), failures, AccessRequest.next_attempt_at)


def _removals_elsewhere(now: datetime) -> Iterable[Waiting]:
    """Return where removals are due; an account that failed there stands for its place also while it has its pause."""
    ending = and_(AccessRequest.state == State.ENDING, or_(_takes_a_lane(), _in_trouble()))
    is_due = case((due(now), AccessRequest.next_attempt_at))
    return _by_place(ending, func.max(AccessRequest.removal_failures), is_due)


def _by_place(which: ColumnElement[bool], failures: ColumnElement[int], when: Any) -> list[Waiting]:
    place = AccessRequest.connector, AccessRequest.instance_id
    query = select(*place, failures, func.min(when)).where(which).group_by(*place).having(func.min(when).is_not(None))
    return [Waiting(*row) for row in db.session.execute(query)]


def _create_is_due(now: datetime) -> ColumnElement[bool]:
    return (AccessRequest.state == State.PROVISIONING) & (AccessRequest.next_attempt_at <= now)


def _takes_a_lane() -> ColumnElement[bool]:
    """Return the condition of what may take long: its directory is elsewhere, or its product is to be told."""
    names = db.session.scalars(select(AccessRequest.connector).where(_UNDER_WAY).distinct()).all()
    slow = [name for name in names if is_elsewhere(name)]
    return or_(AccessRequest.connector.in_(slow), AccessRequest.entry == Entry.OIDC)


def _in_trouble() -> ColumnElement[bool]:
    """Return the condition of a removal at an instance where one has failed."""
    failed = select(AccessRequest.connector, AccessRequest.instance_id).where(
        AccessRequest.state == State.ENDING, AccessRequest.removal_failures > 0
    )
    return tuple_(AccessRequest.connector, AccessRequest.instance_id).in_(failed)


_UNDER_WAY = AccessRequest.state.in_([State.PROVISIONING, State.ENDING])
