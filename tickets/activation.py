"""Letting an account in that is kept elsewhere: after the redemption's commit, and never after the end's.

The redemption commits that it is wanted, each attempt until when it may take effect, and its answer is committed
again; so whoever dies in between leaves one that is due. An attempt that is late must not outlive the end of its
access: as with a late create, ``ending → ended`` needs a read-back made after it returned or its time passed
(design §2), and an account that is gone is made by no activation.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, func, select

from instances.connectors import patience
from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict
from tempadmin.failpoints import reach
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime, current_runtime
from tickets import credential, provision
from tickets.accounts import account_of
from tickets.lanes import Kind, Place, Waiting, go_through
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.removal import IN_A_REQUEST, timeout_of
from tickets.states import State

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=2)
AT_WORK = "It is being tried right now. Look again in a few seconds."
DONE = "The account is let in already."
OVER = "This access is over."
LET_IN = "let in"
UNOPENABLE = "its password cannot be opened; log out and delete this account, then ask again"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    account: Account
    connector: str
    secret: str | None
    until: datetime
    deadline: datetime
    alone: bool
    """Whether no earlier attempt may still take effect."""


def activate(*, request_id: int, runtime: Runtime) -> bool:
    """Try once to let a request's account in, if that is due; return whether its directory said yes."""
    attempt = _begin(request_id, runtime)
    if attempt is None:
        return False
    try:
        reach("before activate")
        connector_for(attempt.connector).activate(
            attempt.account, secret=attempt.secret, until=attempt.until, still_wanted=lambda: _still_wanted(request_id)
        )
        reach("after activate")
    except Conflict:
        _failed(request_id, attempt, error=OVER, permanent=True, runtime=runtime)
        return False
    except ConnectorError as error:
        _failed(request_id, attempt, error=str(error), permanent=error.permanent, runtime=runtime)
        return False
    except Exception as error:  # noqa: BLE001 - logged, but a library's own words may hold what it was given (P12)
        log.error("activation.failed", request_id=request_id, trace=_masked(traceback.format_exc(), attempt))  # noqa: TRY400
        _failed(request_id, attempt, error=type(error).__name__, permanent=False, runtime=runtime)
        return False
    if _succeeded(request_id, attempt, runtime):
        return True
    if _has_ended(request_id):
        provision.remove_unwanted(
            attempt.account, attempt.connector, why="it was let in after its end", runtime=runtime
        )
    return False


def try_quietly(request_id: int) -> None:
    """As ``activate``, right after the commit that wants it: a directory on a bad day must not spoil the answer."""
    try:
        with patience.at_most(IN_A_REQUEST):
            activate(request_id=request_id, runtime=current_runtime())
    except Exception:
        db.session.rollback()
        log.exception("activation.not_tried", request_id=request_id)


def try_again(*, request_id: int, runtime: Runtime) -> bool:
    """Try now, whatever pause it is in; return whether the account is let in.

    Raises
    ------
    Conflict
        When it is let in already, is being tried, or the access is over.
    """
    _make_due(request_id, runtime)
    with patience.at_most(IN_A_REQUEST):
        return activate(request_id=request_id, runtime=runtime)


def activate_due(runtime: Runtime) -> str:
    """Go on with every activation that is due, in lanes; return what was done.

    Where one failed, the directory is asked no more in this run: one that hangs holds up its own place alone.
    """
    done = go_through([Kind(LET_IN, _due, _activate_at)], runtime, meanwhile=Counter)
    return f"{done[LET_IN]} {LET_IN}"


def _due(now: datetime) -> list[Waiting]:
    where, since = (AccessRequest.connector, AccessRequest.instance_id), func.min(AccessRequest.next_attempt_at)
    failures = func.count(AccessRequest.last_error)
    places = select(*where, failures, since).where(_is_due(now)).group_by(*where)
    return [
        Waiting(name, instance_id, failed, at or now) for name, instance_id, failed, at in db.session.execute(places)
    ]


def _activate_at(place: Place, runtime: Runtime) -> tuple[int, int]:
    here = (AccessRequest.connector == place[0]) & (AccessRequest.instance_id == place[1])
    oldest = select(AccessRequest.id).where(_is_due(runtime.now()), here).order_by(AccessRequest.next_attempt_at)
    request_id = db.session.scalar(oldest.limit(1))
    return (0, 0) if request_id is None else (1, int(activate(request_id=request_id, runtime=runtime)))


def _is_due(now: datetime) -> ColumnElement[bool]:
    return (AccessRequest.state == State.ACTIVE) & (AccessRequest.next_attempt_at <= now)


@retried_once
def _make_due(request_id: int, runtime: Runtime) -> None:
    with transaction():
        request = locked(request_id)
        now = runtime.now()
        if not _goes_on(request, now):
            raise Conflict(OVER)
        if request.next_attempt_at is None and request.last_error is None:
            raise Conflict(DONE)
        if request.next_attempt_at is not None and now < request.next_attempt_at == request.attempt_deadline:
            raise Conflict(AT_WORK, next_url=credential.PAGE, next_label="Look again")
        request.next_attempt_at = now


@retried_once
def _begin(request_id: int, runtime: Runtime) -> _Attempt | None:
    """Commit until when an attempt may take effect; whoever else looks meanwhile finds none due."""
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if not _goes_on(request, now) or request.next_attempt_at is None or now < request.next_attempt_at:
            return None
        try:
            secret = credential.opened(request, runtime=runtime)
        except Unsealable:
            request.next_attempt_at, request.last_error = None, UNOPENABLE
            return None
        deadline = now + 2 * timeout_of(request.connector)
        alone = request.attempt_deadline is None or request.attempt_deadline <= now
        request.attempt_deadline = request.next_attempt_at = deadline
        return _Attempt(
            account=account_of(request),
            connector=request.connector,
            secret=secret,
            until=request.ends_at or now,
            deadline=deadline,
            alone=alone,
        )


def _still_wanted(request_id: int) -> None:
    """Only look: a lock would last as long as the directory takes. Raises ``Conflict`` once the access is over."""
    request = db.session.get_one(AccessRequest, request_id, populate_existing=True)
    goes_on = _goes_on(request, current_runtime().now())
    db.session.rollback()
    if not goes_on:
        raise Conflict(OVER)


@retried_once
def _succeeded(request_id: int, attempt: _Attempt, runtime: Runtime) -> bool:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        _returned(request, attempt, now)
        if not _goes_on(request, now):
            return False
        request.activated_at, request.last_error = request.activated_at or now, None
        # More time may have been given since the attempt began, and the directory was told of less.
        request.next_attempt_at = None if request.ends_at == attempt.until else now
        _record("access.activated", request, now, until=attempt.until.isoformat())
    return True


@retried_once
def _failed(request_id: int, attempt: _Attempt, *, error: str, permanent: bool, runtime: Runtime) -> None:
    error = _masked(error, attempt)[:300]
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if permanent:
            _returned(request, attempt, now)
        if not _goes_on(request, now):
            return
        if error != request.last_error:  # the same again is no news in the record
            _record("access.activation_failed", request, now, error=error, permanent=permanent)
        request.last_error = error
        request.next_attempt_at = None if permanent else now + _growing_pause(request, now)


def _returned(request: AccessRequest, attempt: _Attempt, now: datetime) -> None:
    """The newest attempt is over and no other is on its way: an end need not wait for its time to pass."""
    if attempt.alone and request.attempt_deadline == attempt.deadline:
        request.attempt_deadline = None
        if request.state == State.ENDING:
            request.next_attempt_at = now


def _growing_pause(request: AccessRequest, now: datetime) -> timedelta:
    """Return how long to wait: as long again as it was tried since the redemption, 2 minutes at most, jittered."""
    so_far = now - (request.started_at or now)
    return min(max(so_far, FIRST_PAUSE), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load


def _has_ended(request_id: int) -> bool:
    with transaction(as_service=True):
        return locked(request_id).state == State.ENDED


def _goes_on(request: AccessRequest, now: datetime) -> bool:
    return request.state == State.ACTIVE and request.ends_at is not None and now < request.ends_at


def _masked(text: str, attempt: _Attempt) -> str:
    return text if attempt.secret is None else text.replace(attempt.secret, "[password]")


def _record(event: str, request: AccessRequest, now: datetime, **details: str | bool) -> None:
    record(event, instance_id=request.instance_id, actor=SERVICE, at=now, request_id=request.id, **details)
