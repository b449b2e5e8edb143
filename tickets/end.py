"""Every end of an access: over at once, and the account removed until it is read back as gone.

Two steps, so that neither waits for the other. ``begin_ending`` belongs to the transaction that ends the access:
session revoked, tickets void, state ``ending``, and from its commit on nothing of it works (P3). ``deprovision``
removes the account, once right after that commit and then by the job, for ever with growing pauses (P11).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, select, update

from instances.connectors import marker
from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.audit.log import SERVICE, Actor, record
from tempadmin.db import after_commit, db, retried_once, transaction
from tempadmin.errors import Conflict
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime, current_runtime
from tickets import announcements, tokens
from tickets.machine import locked, move
from tickets.models import PENDING, VOID, AccessRequest, Extension
from tickets.states import OPEN, EndReason, State

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)

log = structlog.get_logger()


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
    query = select(AccessRequest.id).where(AccessRequest.state.in_(OPEN), which).order_by(AccessRequest.id)
    ended = 0
    for request_id in db.session.scalars(query).all():
        request = locked(request_id)
        if State(request.state) in OPEN:
            begin_ending(request, reason=reason, actor=actor, now=now, promptly=promptly)
            ended += 1
    return ended


def begin_ending(
    request: AccessRequest, *, reason: EndReason, actor: Actor, now: datetime, promptly: bool = True
) -> None:
    """Make an access over in the open transaction that holds its lock.

    Parameters
    ----------
    promptly
        Try the removal once right after the commit; not so where it is the job's alone.
    """
    never_made, was = request.create_attempts == 0, State(request.state)
    move(
        request,
        State.ENDING,
        now=now,
        ending_at=now,
        end_reason=reason,
        ended_by_name=actor.name,
        next_attempt_at=now,
        last_error=None,
        lapses_at=None,
    )
    waiting = update(Extension).where(Extension.request_id == request.id, Extension.state == PENDING)
    db.session.execute(waiting.values(state=VOID, settled_at=now))
    tokens.void(request_id=request.id, now=now)
    live = select(LoginSession.id).where(LoginSession.access_request_id == request.id, LoginSession.ended_at.is_(None))
    sessions.revoke(db.session.scalars(live).all(), reason=reason, now=now)
    record("access.ending", instance_id=request.instance_id, actor=actor, at=now, request_id=request.id, reason=reason)
    announcements.tell_over(request, was, now=now, runtime=current_runtime())
    if never_made:
        _finish(request, now=now)
        return
    request_id = request.id
    if promptly:
        after_commit(lambda: _deprovision_quietly(request_id))


@dataclass(frozen=True)
class _Removal:
    account: Account
    connector: str
    counts: bool
    """Whether a read-back made from now on proves the end: no create can take effect any more."""


def deprovision(*, request_id: int, runtime: Runtime) -> bool:
    """Try to remove the account of a request that is ending; return whether it is known to be gone.

    Never says *done* before the account was read back as gone, and that after the last create returned or could no
    longer take effect (design §2, *a late create must not outlive its end*).
    """
    removal = _claim(request_id, runtime)
    if removal is None:
        return False
    try:
        reach("before remove")
        connector_for(removal.connector).remove(removal.account)
        reach("after remove")
    except ConnectorError as error:
        _postpone(request_id, error=str(error), runtime=runtime)
        return False
    except Exception as error:
        log.exception("removal.failed", request_id=request_id)
        _postpone(request_id, error=type(error).__name__, runtime=runtime)
        return False
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ENDING:
            return False
        if not removal.counts:
            request.next_attempt_at = request.attempt_deadline or now
            return False
        _finish(request, now=now)
    return True


def account_of(request: AccessRequest) -> Account:
    """Return the account of a request as connectors see it."""
    if request.subject_id is None or request.account_name is None or request.account_email is None:
        raise ValueError(f"request {request.id} has no account")
    return Account(
        instance_id=request.instance_id,
        user_id=request.subject_id,
        request_id=request.id,
        name=request.account_name,
        email=request.account_email,
        marker=marker.make(
            request=request.public_id,
            instance_id=request.instance_id,
            name=request.account_name,
            keys=current_runtime().keys,
        ),
    )


def _claim(request_id: int, runtime: Runtime) -> _Removal | None:
    """Take the next removal attempt; whoever else looks meanwhile finds it not due."""
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ENDING or request.next_attempt_at is None or now < request.next_attempt_at:
            return None
        request.next_attempt_at = now + 2 * timeout_of(request.connector)
        counts = request.attempt_deadline is None or now >= request.attempt_deadline
        return _Removal(account_of(request), request.connector, counts)


def growing_pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures: from 5 s to an hour, jittered (P11)."""
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(failures - 1, 12), LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, hides nothing


def timeout_of(connector: str) -> timedelta:
    """Return how long a call of a connector may take; one that is missing fails at once."""
    try:
        return connector_for(connector).timeout
    except ConnectorError:  # the attempt itself will say so, and be noted as a failure
        return FIRST_PAUSE


def _postpone(request_id: int, *, error: str, runtime: Runtime) -> None:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ENDING:
            return
        request.removal_failures += 1
        request.last_error = error[:300]
        request.next_attempt_at = now + growing_pause(request.removal_failures)
        record(
            "access.removal_failed",
            instance_id=request.instance_id,
            actor=SERVICE,
            at=now,
            request_id=request.id,
            error=request.last_error,
            failures=request.removal_failures,
        )


def _finish(request: AccessRequest, *, now: datetime) -> None:
    move(request, State.ENDED, now=now, ended_at=now, next_attempt_at=None, attempt_deadline=None, last_error=None)
    record(
        "access.ended",
        instance_id=request.instance_id,
        actor=SERVICE,
        at=now,
        request_id=request.id,
        reason=request.end_reason,
        account=request.account_name,
    )


def _deprovision_quietly(request_id: int) -> None:
    """Right after the commit of an end: a directory on a bad day must not spoil the answer; the job tries again."""
    try:
        deprovision(request_id=request_id, runtime=current_runtime())
    except Exception:
        db.session.rollback()
        log.exception("removal.not_tried", request_id=request_id)
