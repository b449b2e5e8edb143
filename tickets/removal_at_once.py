"""A removal from our own table, in one transaction: locked, deleted, read back, called ended (docs/decisions).

The embedded directory's rows lie beside ours, so its delete commits with what we write of it, or not at all; what
another connector does by steps needs none here. The read-back reads the very table in the very transaction: what it
finds is what is committed. Where anything is not as it should be, all of it is rolled back and the way by steps is
taken, which judges each account by itself (P11).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import structlog
from sqlalchemy import ColumnElement, Table, bindparam, select

from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.accounts.models import User
from tempadmin.db import is_outage, retried_once, run, transaction
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets import before_removal, removal_outcome
from tickets.accounts import account
from tickets.batches import Pace
from tickets.machine import locking
from tickets.models import AccessRequest
from tickets.states import State

_USERS = cast(Table, User.__table__)
# Built once: each access ends with these. Users come before requests, and those before sessions (design §2).
LOCK_USERS = (
    select(_USERS.c.id)
    .where(_USERS.c.id.in_(bindparam("users", expanding=True)))
    .order_by(_USERS.c.id)
    .with_for_update()
)
_FACTS = (
    "id",
    "public_id",
    "instance_id",
    "subject_id",
    "account_name",
    "account_email",
    "state",
    "end_reason",
    "next_attempt_at",
    "attempt_deadline",
    "removed_by_hand_at",
)
LOCK_REQUESTS = {wait: locking(*_FACTS, skip_locked=not wait) for wait in (True, False)}

log = structlog.get_logger()


class ToRemove(NamedTuple):
    """A request whose account is to be removed, and what decides how; none of it changes any more."""

    request_id: int
    connector: str
    entry: str
    subject_id: int | None


class NotAtOnce(Exception):
    """Something is not as it should be: nothing of this was done, each account is to be judged by itself."""


def candidates(which: ColumnElement[bool], most: int) -> list[ToRemove]:
    """Return requests that fit a condition, the longest due first."""
    found = select(AccessRequest.id, AccessRequest.connector, AccessRequest.entry, AccessRequest.subject_id)
    first = found.where(which).order_by(AccessRequest.next_attempt_at, AccessRequest.id).limit(most)
    return [ToRemove._make(row) for row in run(first)]


def remove(these: Sequence[ToRemove], runtime: Runtime, *, wait: bool, pace: Pace | None = None) -> int | None:
    """Remove accounts of one connector together, those that are due; return how many requests ended.

    Parameters
    ----------
    wait
        Wait for rows that a rival holds, instead of leaving them to it.

    Returns
    -------
    ``None`` where this is not the way: nothing was changed.
    """
    if not _is_the_way(these):
        return None
    try:
        return _remove(these, runtime, pace or Pace(), wait=wait)
    except NotAtOnce:
        return None
    except Exception as error:
        if is_outage(error):
            raise
        log.warning("removal.not_at_once", request_ids=[one.request_id for one in these], exc_info=True)
        return None


def _is_the_way(these: Sequence[ToRemove]) -> bool:
    """Tell whether a directory is embedded, and nothing is to be done elsewhere before."""
    try:
        connector = connector_for(these[0].connector)
    except ConnectorError:
        return False
    kinds = {(one.connector, one.entry) for one in these}
    return not connector.elsewhere and connector.batch > 1 and not any(map(before_removal.concerns, kinds))


@retried_once
def _remove(these: Sequence[ToRemove], runtime: Runtime, pace: Pace, *, wait: bool) -> int:
    users = [one.subject_id for one in these if one.subject_id is not None]
    with transaction(as_service=True), pace.changing(len(these)):
        run(LOCK_USERS, {"users": users})
        rows = run(LOCK_REQUESTS[wait], {"requests": [one.request_id for one in these]}).all()
        now = runtime.now()
        due = [row for row in rows if row.state == State.ENDING and row.removed_by_hand_at is None]
        due = [row for row in due if row.next_attempt_at is not None and row.next_attempt_at <= now]
        if any(row.attempt_deadline is not None and now < row.attempt_deadline for row in due):
            raise NotAtOnce  # a create may take effect yet: the read-back would prove nothing (design §2)
        if due:
            _delete(these[0].connector, due)
            removal_outcome.finish(due, now=now)
    return len(due)


def _delete(name: str, rows: Sequence[Any]) -> None:
    accounts = [account(*row[:6]) for row in rows]
    known = [one for one in accounts if one is not None]
    if len(known) < len(rows):
        raise NotAtOnce
    reach("before remove_many")
    said = connector_for(name).remove_many(known)
    reach("after remove_many")
    if any(said.get(one.user_id, NotAtOnce) is not None for one in known):
        raise NotAtOnce
