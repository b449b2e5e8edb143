"""Lock, clock, guard (design §2): the only two functions through which a request's state is read to change it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import update

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


def move(request: AccessRequest, to: State, *, now: datetime, **values: Any) -> None:
    """Move a locked request on by a guarded UPDATE, with whatever else changes along.

    Raises
    ------
    Conflict
        When the request does not stand where this transaction saw it.
    """
    state = State(request.state)
    if not may_follow(state, to):
        raise Conflict(f"This request is {state.replace('_', ' ')}; it cannot become {to.replace('_', ' ')}.")
    guarded = update(AccessRequest).where(AccessRequest.id == request.id, AccessRequest.state == state)
    moved = guarded.values(state=to, state_since=now, **values).returning(AccessRequest)
    if db.session.scalars(moved, execution_options={"populate_existing": True}).one_or_none() is None:
        raise Conflict("Somebody else was faster. The page now shows what happened.")
