"""Every end of an access: over at once, and the account removed until it is read back as gone.

Two steps, so that neither waits for the other. ``begin_ending`` belongs to the transaction that ends the access:
session revoked, tickets void, state ``ending``, and from its commit on nothing of it works (P3). The account is removed
right after that commit, if the directory obeys, and else by the job, for ever with growing pauses (P11).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, select, update

from tempadmin.accounts import sessions
from tempadmin.audit.log import Actor, record
from tempadmin.db import after_commit, db, retried_once, run, transaction
from tempadmin.errors import Conflict, NotFound
from tempadmin.runtime import Runtime
from tickets import announcements, removal, removal_outcome, tokens
from tickets.machine import locking, move_rows
from tickets.models import IS_OPEN, PENDING, VOID, AccessRequest, Extension
from tickets.removal_at_once import ToRemove
from tickets.states import OPEN, EndReason, State

TO_REMOVE = "tickets.to_remove"

# Built once: every access ends, and ten thousand may do so within a minute.
ENDS_OF = (
    "id",
    "state",
    "kind",
    "instance_id",
    "requester_id",
    "requester_email",
    "subject_id",
    "connector",
    "entry",
    "account_name",
    "create_attempts",
)
"""What an end needs to know of a request; a mapped one has it, too."""
LOCK = locking(*ENDS_OF)
_EXTENSIONS = cast(Table, Extension.__table__)
VOID_WISHES = (
    update(_EXTENSIONS)
    .where(_EXTENSIONS.c.request_id.in_(bindparam("requests", expanding=True)), _EXTENSIONS.c.state == PENDING)
    .values(state=VOID, settled_at=bindparam("now"))
)


@retried_once
def end_access(*, request_id: int, reason: EndReason, actor: Actor, runtime: Runtime) -> None:
    """End an access, whatever state it is in.

    Parameters
    ----------
    reason
        Why; the time line says it.
    actor
        The real person who ended it, or the service.

    Raises
    ------
    NotFound
        When there is no such request.
    Conflict
        When it is ending or has ended already: the first end counts.
    """
    with transaction():
        request = run(LOCK, {"requests": [request_id]}).one_or_none()
        now = runtime.now()
        if request is None:
            raise NotFound("There is no such request.")
        if State(request.state) not in OPEN:
            raise Conflict("This access is over already.")
        end_together([request], reason=reason, actor=actor, now=now)


def end_all_open(
    which: ColumnElement[bool], *, reason: EndReason, actor: Actor, now: datetime, promptly: bool = True
) -> int:
    """End every open request that fits a condition inside the open transaction; return how many (S23)."""
    query = select(AccessRequest.id).where(IS_OPEN, which)
    requests = run(LOCK, {"requests": db.session.scalars(query).all()})
    still_open = [request for request in requests if State(request.state) in OPEN]
    end_together(still_open, reason=reason, actor=actor, now=now, promptly=promptly)
    return len(still_open)


def begin_ending(request: AccessRequest, *, reason: EndReason, actor: Actor, now: datetime) -> None:
    """Make an access over in the open transaction that holds its lock; removal is tried right after the commit."""
    db.session.flush()
    end_together([request], reason=reason, actor=actor, now=now)
    db.session.expire(request)


def end_together(
    requests: Sequence[Any], *, reason: EndReason, actor: Actor, now: datetime, promptly: bool = True
) -> None:
    """Do for many locked requests what ``begin_ending`` does for one, in as few statements as for one.

    Parameters
    ----------
    requests
        Rows of ``LOCK``.
    promptly
        Try the removal once right after the commit; not so where it is the job's alone.
    """
    ids = [request.id for request in requests]
    if not ids:
        return
    for state, group in groupby(sorted(requests, key=lambda one: one.state), key=lambda one: State(one.state)):
        move_rows(
            [request.id for request in group],
            state,
            State.ENDING,
            now=now,
            ending_at=now,
            end_reason=reason.value,
            ended_by_name=actor.name,
            next_attempt_at=now,
            last_error=None,
            lapses_at=None,
            sealed_credential=None,
        )
    run(VOID_WISHES, {"requests": ids, "now": now})
    tokens.void_all(ids, now=now)
    sessions.revoke_of_requests(ids, reason=reason, now=now)
    for one in requests:
        record("access.ending", instance_id=one.instance_id, actor=actor, at=now, request_id=one.id, reason=reason)
    announcements.tell_over(requests, reason, now=now)
    never_made = [request for request in requests if request.create_attempts == 0]
    removal_outcome.finish(never_made, reason=reason, now=now)
    if promptly:
        _remove_after_commit(removal.of_ending(requests))


def _remove_after_commit(these: Sequence[ToRemove]) -> None:
    """Have what this transaction ends removed together, once it is committed."""
    ending = db.session().info.setdefault(TO_REMOVE, [])
    if these and not ending:
        after_commit(lambda: removal.try_quietly(ending))
    ending += these
