"""Every end of an access: over at once, and the account removed until it is read back as gone.

Two steps, so that neither waits for the other. ``begin_ending`` belongs to the transaction that ends the access:
session revoked, tickets void, state ``ending``, and from its commit on nothing of it works (P3). The account is removed
right after that commit, if the directory obeys, and else by the job, for ever with growing pauses (P11).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, update

from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.audit.log import Actor, record
from tempadmin.db import after_commit, db, retried_once, transaction
from tempadmin.errors import Conflict
from tempadmin.runtime import Runtime
from tickets import announcements, removal, removal_outcome, tokens
from tickets.machine import locked, locked_all, move_all
from tickets.models import IS_OPEN, PENDING, VOID, AccessRequest, Extension
from tickets.states import OPEN, EndReason, State

TO_REMOVE = "tickets.to_remove"


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
        request = locked(request_id)
        now = runtime.now()
        if State(request.state) not in OPEN:
            raise Conflict("This access is over already.")
        begin_ending(request, reason=reason, actor=actor, now=now)


def end_all_open(
    which: ColumnElement[bool], *, reason: EndReason, actor: Actor, now: datetime, promptly: bool = True
) -> int:
    """End every open request that fits a condition inside the open transaction; return how many (S23)."""
    query = select(AccessRequest.id).where(IS_OPEN, which)
    requests = locked_all(db.session.scalars(query).all()).values()
    still_open = [request for request in requests if State(request.state) in OPEN]
    end_together(still_open, reason=reason, actor=actor, now=now, promptly=promptly)
    return len(still_open)


def begin_ending(request: AccessRequest, *, reason: EndReason, actor: Actor, now: datetime) -> None:
    """Make an access over in the open transaction that holds its lock; removal is tried right after the commit."""
    end_together([request], reason=reason, actor=actor, now=now)


def end_together(
    requests: Sequence[AccessRequest], *, reason: EndReason, actor: Actor, now: datetime, promptly: bool = True
) -> None:
    """Do for many locked requests what ``begin_ending`` does for one, in as few statements as for one.

    Parameters
    ----------
    promptly
        Try the removal once right after the commit; not so where it is the job's alone.
    """
    ids, was = [request.id for request in requests], {request.id: State(request.state) for request in requests}
    if not ids:
        return
    move_all(
        requests,
        State.ENDING,
        now=now,
        ending_at=now,
        end_reason=reason,
        ended_by_name=actor.name,
        next_attempt_at=now,
        last_error=None,
        lapses_at=None,
        sealed_credential=None,
    )
    waiting = update(Extension).where(Extension.request_id.in_(ids), Extension.state == PENDING)
    db.session.execute(waiting.values(state=VOID, settled_at=now))
    tokens.void_all(ids, now=now)
    live = select(LoginSession.id).where(LoginSession.access_request_id.in_(ids), LoginSession.ended_at.is_(None))
    sessions.revoke(db.session.scalars(live).all(), reason=reason, now=now)
    for one in requests:
        record("access.ending", instance_id=one.instance_id, actor=actor, at=now, request_id=one.id, reason=reason)
    announcements.tell_over(requests, was, now=now)
    never_made = [request for request in requests if request.create_attempts == 0]
    removal_outcome.finish(never_made, now=now)
    if promptly:
        _remove_after_commit([request.id for request in requests if request not in never_made])


def _remove_after_commit(request_ids: Sequence[int]) -> None:
    """Have what this transaction ends removed together, once it is committed."""
    ending = db.session().info.setdefault(TO_REMOVE, [])
    if request_ids and not ending:
        after_commit(lambda: removal.try_quietly(ending))
    ending += request_ids
