"""Lock, clock, guard (design §2): the only functions through which a request's state is read to change it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from sqlalchemy import Table, Update, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from tempadmin.db import db, lock, run
from tempadmin.errors import Conflict, NotFound
from tickets.models import AccessRequest
from tickets.states import State, may_follow

_REQUESTS = cast(Table, AccessRequest.__table__)
# Built once: a request is locked in each step of its life.
LOCK_ALL = (
    select(AccessRequest)
    .where(AccessRequest.id.in_(bindparam("requests", expanding=True)))
    .order_by(AccessRequest.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def locked(request_id: int) -> AccessRequest:
    """Lock a request's row and return it as it is now; read the clock after this, never before (S05).

    Raises
    ------
    NotFound
        When there is no such request.
    """
    request = lock(AccessRequest, request_id)
    if request is None:
        raise NotFound("There is no such request.")
    return request


def locked_all(request_ids: Sequence[int]) -> dict[int, AccessRequest]:
    """Lock requests by ascending id, in one statement, and return those that there are; then as ``locked``."""
    found = db.session.scalars(LOCK_ALL, {"requests": list(request_ids)})
    return {request.id: request for request in found}


@functools.cache
def _guarded(names: tuple[str, ...]) -> Update:
    """Build, once for each set of columns, what moves requests on from the state in which they were seen."""
    seen = _REQUESTS.c.id.in_(bindparam("requests", expanding=True)), _REQUESTS.c.state == bindparam("seen")
    return update(_REQUESTS).where(*seen).values({name: bindparam(f"new_{name}") for name in names})


def move(request: AccessRequest, to: State, *, now: datetime, **values: Any) -> None:
    """Move a locked request on by a guarded UPDATE, with whatever else changes along.

    Raises
    ------
    Conflict
        When the request does not stand where this transaction saw it.
    """
    move_all([request], to, now=now, **values)


def move_all(requests: Sequence[AccessRequest], to: State, *, now: datetime, **values: Any) -> None:
    """Do for many locked requests what ``move`` does for one: one statement for each state that they stand in."""
    in_order = sorted(requests, key=lambda one: one.state)
    changes = {"state": to.value, "state_since": now, **values}
    new = {f"new_{name}": value for name, value in changes.items()}
    for state, group in groupby(in_order, key=lambda one: State(one.state)):
        rows = list(group)
        if not may_follow(state, to):
            raise Conflict(f"This request is {state.replace('_', ' ')}; it cannot become {to.replace('_', ' ')}.")
        moving = {"requests": [request.id for request in rows], "seen": state.value, **new}
        if run(_guarded(tuple(changes)), moving).rowcount != len(rows):
            raise Conflict("Somebody else was faster. The page now shows what happened.")
        for request in rows:
            for name, value in changes.items():
                set_committed_value(request, name, value)
