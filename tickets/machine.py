"""Lock, clock, guard (design §2): the only functions through which a request's state is read to change it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from sqlalchemy import BindParameter, Select, Table, Update, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from tempadmin.db import db, lock, run
from tempadmin.errors import Conflict, NotFound
from tickets.models import AccessRequest
from tickets.states import State, may_follow

_REQUESTS = cast(Table, AccessRequest.__table__)
REQUESTED: BindParameter[Any] = bindparam("requests", expanding=True)
# Built once: a request is locked in each step of its life.
LOCK_ALL = (
    select(AccessRequest)
    .where(AccessRequest.id.in_(REQUESTED))
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


def locking(*names: str, skip_locked: bool = False) -> Select[Any]:
    """Build, once for a use case, what locks requests by ascending id and reads some columns of each: plain rows.

    Parameters
    ----------
    skip_locked
        Leave out what a rival holds, instead of waiting for it.
    """
    these = select(*(_REQUESTS.c[name] for name in names)).where(_REQUESTS.c.id.in_(REQUESTED))
    return these.order_by(_REQUESTS.c.id).with_for_update(skip_locked=skip_locked)


@functools.cache
def _guarded(names: tuple[str, ...]) -> Update:
    """Build, once for each set of columns, what moves requests on from the state in which they were seen."""
    seen = _REQUESTS.c.id.in_(REQUESTED), _REQUESTS.c.state == bindparam("seen")
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
    for state, group in groupby(sorted(requests, key=lambda one: one.state), key=lambda one: State(one.state)):
        rows = list(group)
        move_rows([request.id for request in rows], state, to, now=now, **values)
        for request in rows:
            for name, value in {"state": to.value, "state_since": now, **values}.items():
                set_committed_value(request, name, value)


def move_rows(request_ids: Sequence[int], seen: State, to: State, *, now: datetime, **values: Any) -> None:
    """Move locked requests on from the state in which they were seen, by one guarded UPDATE; mapped ones learn nothing.

    Raises
    ------
    Conflict
        When not every one of them stands there.
    """
    if not may_follow(seen, to):
        raise Conflict(f"This request is {seen.replace('_', ' ')}; it cannot become {to.replace('_', ' ')}.")
    changes = {"state": to.value, "state_since": now, **values}
    moving = {"requests": request_ids, "seen": seen.value, **{f"new_{name}": it for name, it in changes.items()}}
    if run(_guarded(tuple(changes)), moving).rowcount != len(request_ids):
        raise Conflict("Somebody else was faster. The page now shows what happened.")
