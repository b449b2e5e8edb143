"""What a person can do about a removal that does not go through: have it tried now, or say that they did it by hand.

Their word is asked of the directory where it answers. Where it does not, the word is kept and the request stays
``ending``: nothing is called done before it was read back (P11). The job goes on looking, and a word that proves wrong
is void. Directories are asked outside any transaction, so each outcome is written under lock, and only where the
request still stands as it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, func, select

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from instances.directory import Acting
from tempadmin.accounts.models import OMNIADMIN, REGULAR, User
from tempadmin.audit.log import SERVICE, Actor, record
from tempadmin.db import db, is_outage, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets import attention, policy, queries, removal, removal_outcome
from tickets.accounts import account_of
from tickets.lanes import Kind, Place, Waiting
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.states import State

LOOK_EVERY = timedelta(hours=1)
STILL_THERE = "The directory says that the account is still there, so it is not called removed. It is tried again."
OVER = "This removal is done already."
NOT_YET = "This access is not over, so nothing is being removed."

log = structlog.get_logger()


@dataclass(frozen=True)
class _Look:
    account: Account
    connector: str
    counts: bool
    """Whether a read-back made from now on proves the end: no create can take effect any more (design §2)."""


def retry_removal(*, request_id: int, acting: Acting, runtime: Runtime) -> bool:
    """Try a removal now, whatever pause it is in; return whether the account is known to be gone.

    Raises
    ------
    Forbidden
        When the person is no omniadmin, or acts in a support session.
    Conflict
        When nothing is being removed.
    """
    if _make_due(request_id, acting, runtime):
        return look(request_id=request_id, runtime=runtime)
    return removal.deprovision(request_id=request_id, runtime=runtime) or _is_ended(request_id)


def say_removed(*, request_id: int, acting: Acting, reason: str, runtime: Runtime) -> bool:
    """Record that a person removed the account by hand; return whether its directory confirmed that.

    Raises
    ------
    Invalid
        When the reason is too short or too long (S35).
    Forbidden
        As ``retry_removal``.
    Conflict
        When nothing is being removed, or the directory says that the account is still there; that is on record.
    """
    reason = policy.checked_reason(reason)
    asked = _read(request_id, acting, runtime)
    there = _is_there(asked)
    _note(request_id, asked, acting=acting, reason=reason, there=there, runtime=runtime)
    if there:
        raise Conflict(STILL_THERE)
    return there is False and asked.counts


def look(*, request_id: int, runtime: Runtime) -> bool:
    """Ask the directory whether somebody's word is true, if that is due; return whether the request ended."""
    asked = _claim(request_id, runtime)
    return asked is not None and _judge(request_id, asked, there=_is_there(asked), runtime=runtime)


def _look_at(place: Place, runtime: Runtime) -> tuple[int, int]:
    """Look after the account of a place that is due the longest and that somebody says to have removed by hand."""
    here = (AccessRequest.connector == place[0]) & (AccessRequest.instance_id == place[1])
    oldest = select(AccessRequest.id).where(_is_due(runtime.now()), here).order_by(AccessRequest.next_attempt_at)
    request_id = db.session.scalar(oldest.limit(1))
    return (0, 0) if request_id is None else (1, int(look(request_id=request_id, runtime=runtime)))


def _due(now: datetime) -> Iterator[Waiting]:
    where, since = (AccessRequest.connector, AccessRequest.instance_id), func.min(AccessRequest.next_attempt_at)
    places = select(*where, since).where(_is_due(now)).group_by(*where)
    return (Waiting(name, place, 0, at or now) for name, place, at in db.session.execute(places).all())


def _is_due(now: datetime) -> ColumnElement[bool]:
    said = (AccessRequest.state == State.ENDING) & AccessRequest.removed_by_hand_at.is_not(None)
    return said & (AccessRequest.next_attempt_at <= now)


LOOKS = Kind("removed by hand", _due, _look_at)
"""What the removal job goes on with."""


@retried_once
def _make_due(request_id: int, acting: Acting, runtime: Runtime) -> bool:
    """Have a removal due at once; return whether somebody's word stands that it was done by hand."""
    with transaction():
        _require_omniadmin(acting)
        request = locked(request_id)
        now = runtime.now()
        _require_ending(request)
        request.next_attempt_at = now
        _record("access.removal_asked_for", request, acting.actor, now)
        return request.removed_by_hand_at is not None


@retried_once
def _read(request_id: int, acting: Acting, runtime: Runtime) -> _Look:
    with transaction():
        _require_omniadmin(acting)
        request = locked(request_id)
        now = runtime.now()
        _require_ending(request)
        return _Look(account_of(request), request.connector, _counts(request, now))


@retried_once
def _claim(request_id: int, runtime: Runtime) -> _Look | None:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        word_stands = request.state == State.ENDING and request.removed_by_hand_at is not None
        if not word_stands or request.next_attempt_at is None or now < request.next_attempt_at:
            return None
        request.next_attempt_at = now + LOOK_EVERY
        return _Look(account_of(request), request.connector, _counts(request, now))


def _is_there(asked: _Look) -> bool | None:
    """Ask a directory, outside any transaction; ``None`` when it does not answer."""
    try:
        reach("before exists")
        there = connector_for(asked.connector).exists(asked.account)
        reach("after exists")
    except ConnectorError as error:
        log.warning("by_hand.no_answer", request_id=asked.account.request_id, error=str(error))
        return None
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("by_hand.no_answer", request_id=asked.account.request_id)
        return None
    return there


@retried_once
def _note(request_id: int, asked: _Look, *, acting: Acting, reason: str, there: bool | None, runtime: Runtime) -> None:
    with transaction():
        _require_omniadmin(acting)
        request = locked(request_id)
        now = runtime.now()
        _require_ending(request)
        if there:
            _record("access.removed_by_hand_refused", request, acting.actor, now, reason=reason)
            return
        request.removed_by_hand_at, request.removed_by_hand_by = now, acting.actor.name
        request.removed_by_hand_reason, request.next_attempt_at = reason, now + LOOK_EVERY
        gone = there is False and asked.counts
        _record("access.removed_by_hand", request, acting.actor, now, reason=reason, verified=gone)
        if gone:
            removal_outcome.finish([request], now=now)
        elif there is False:
            request.next_attempt_at = request.attempt_deadline or now


@retried_once
def _judge(request_id: int, asked: _Look, *, there: bool | None, runtime: Runtime) -> bool:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.ENDING or request.removed_by_hand_at is None:
            return False
        if there is False and asked.counts:
            removal_outcome.finish([request], now=now)
            return True
        if there is False:
            request.next_attempt_at = request.attempt_deadline or now
        elif there:
            _void(request, runtime=runtime)
    return False


def _void(request: AccessRequest, *, runtime: Runtime) -> None:
    """Take a word that proved wrong for nothing: the removal goes on at once, and needs attention at once (P11)."""
    now = runtime.now()
    who, request.removed_by_hand_at = request.removed_by_hand_by, None
    request.removal_failures = max(request.removal_failures + 1, queries.STUCK_FAILURES)
    request.last_error = f"{who} said that it was removed by hand; the directory says that it is still there"
    request.next_attempt_at, request.attention_told_at = now, now
    _record("access.removed_by_hand_void", request, SERVICE, now, said_by=who)
    attention.tell_void(request, now=now)


def _record(event: str, request: AccessRequest, actor: Actor, now: datetime, **details: str | bool | None) -> None:
    record(event, instance_id=request.instance_id, actor=actor, at=now, request_id=request.id, **details)


def _counts(request: AccessRequest, now: datetime) -> bool:
    return request.attempt_deadline is None or now >= request.attempt_deadline


def _require_omniadmin(acting: Acting) -> None:
    """Lock and judge who acts: an omniadmin as themselves, never a support session (S25, S32)."""
    user = None if acting.user_id is None else lock(User, acting.user_id)
    mine = user is not None and user.active and (user.kind, user.role) == (REGULAR, OMNIADMIN)
    if not mine or acting.request_id is not None:
        raise Forbidden("Only omniadmins see to removals.")


def _require_ending(request: AccessRequest) -> None:
    if request.state != State.ENDING:
        raise Conflict(OVER if request.state == State.ENDED else NOT_YET)


def _is_ended(request_id: int) -> bool:
    db.session.rollback()
    return db.session.scalar(select(AccessRequest.state).where(AccessRequest.id == request_id)) == State.ENDED
