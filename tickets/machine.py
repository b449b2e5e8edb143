"""Lock, clock, guard (design §2): the only functions through which a request's state is read to change it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select, update

from tempadmin.db import db, lock
from tempadmin.errors import Conflict, NotFound
from tickets.models import AccessRequest
from tickets.states import State, may_follow


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
    rows = select(AccessRequest).where(AccessRequest.id.in_(request_ids)).order_by(AccessRequest.id).with_for_update()
    found = db.session.scalars(rows, execution_options={"populate_existing": True})
    return {request.id: request for request in found}


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
    for name, group in groupby(in_order, key=lambda one: one.state):
        ids, state = [request.id for request in group], State(name)
        if not may_follow(state, to):
            raise Conflict(f"This request is {state.replace('_', ' ')}; it cannot become {to.replace('_', ' ')}.")
        guarded = update(AccessRequest).where(AccessRequest.id.in_(ids), AccessRequest.state == state)
        moved = guarded.values(state=to, state_since=now, **values).returning(AccessRequest)
        if len(db.session.scalars(moved, execution_options={"populate_existing": True}).all()) != len(ids):
            raise Conflict("Somebody else was faster. The page now shows what happened.")
