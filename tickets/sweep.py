"""The clean-up job: the daily sweep of whatever the other paths left behind.

It has no power of its own: it finds, says why, and then calls the same guarded ends and removals as every other
path, each of which looks again under lock. A session that works within its limits is never touched (P10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, transaction
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets.end import deprovision
from tickets.expire import end_if_over, why_over
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.states import State


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something to remove, and why."""

    account_name: str
    instance_id: int
    request_id: int
    user_id: int | None
    since: datetime
    why: str
    kind: str
    """``over`` (to be ended), ``ending`` (a removal to go on with) or ``orphan`` (an account whose request ended)."""


def find_leftovers(*, min_age: timedelta, now: datetime) -> Iterator[Leftover]:
    """Yield what is left over for at least ``min_age``, oldest first within each kind; writes nothing."""
    before = now - min_age
    states = (State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE)
    still_open = select(AccessRequest).where(AccessRequest.state.in_(states)).order_by(AccessRequest.id)
    for request in db.session.scalars(still_open).all():
        reason = why_over(request, now=before)
        if reason is not None and request.state_since <= before:
            yield _leftover(
                request, request.state_since, f"is over ({reason.replace('_', ' ')}) and was not ended", "over"
            )
    ending = (
        select(AccessRequest)
        .where(AccessRequest.state == State.ENDING, AccessRequest.ending_at <= before)
        .order_by(AccessRequest.id)
    )
    for request in db.session.scalars(ending).all():
        failures = f"its removal failed {request.removal_failures} times: {request.last_error}"
        why = failures if request.removal_failures else "its removal was never finished"
        yield _leftover(request, request.ending_at or request.state_since, why, "ending")
    yield from _orphans(before)


def sweep(*, min_age: timedelta, runtime: Runtime) -> tuple[int, int]:
    """Remove every leftover; return how many are gone, and how many were found."""
    found = list(find_leftovers(min_age=min_age, now=runtime.now()))
    return sum(_remove(leftover, runtime) for leftover in found), len(found)


def _remove(leftover: Leftover, runtime: Runtime) -> bool:
    if leftover.kind == "over":
        end_if_over(request_id=leftover.request_id, runtime=runtime)
        return _is_ended(leftover.request_id)
    if leftover.kind == "ending":
        with transaction(as_service=True):
            request = locked(leftover.request_id)
            if request.state == State.ENDING:
                request.next_attempt_at = runtime.now()
        return deprovision(request_id=leftover.request_id, runtime=runtime) or _is_ended(leftover.request_id)
    return _remove_orphan(leftover, runtime)


def _orphans(before: datetime) -> Iterator[Leftover]:
    """Yield temporary accounts whose request has ended or is gone: ours by record, never by name."""
    query = (
        select(User, AccessRequest.state)
        .outerjoin(AccessRequest, AccessRequest.id == User.access_request_id)
        .where(User.kind == TEMPORARY, User.created_at <= before)
        .order_by(User.id)
    )
    for user, state in db.session.execute(query).all():
        if state in (None, State.ENDED):
            yield Leftover(
                account_name=user.screen_name or f"account {user.id}",
                instance_id=user.instance_id,
                request_id=user.access_request_id or 0,
                user_id=user.id,
                since=user.created_at,
                why="its request has ended" if state else "its request does not exist",
                kind="orphan",
            )


def _remove_orphan(leftover: Leftover, runtime: Runtime) -> bool:
    user = db.session.get(User, leftover.user_id)
    if user is None:
        return True
    instance = db.session.get_one(VirtualInstance, user.instance_id)
    account = Account(
        instance_id=user.instance_id,
        user_id=user.id,
        request_id=user.access_request_id or 0,
        name=user.screen_name or "",
        email=user.email,
        marker="",
    )
    try:
        reach("before remove")
        connector_for(instance.connector).remove(account)
        reach("after remove")
    except ConnectorError:
        return False
    with transaction(as_service=True):
        record(
            "access.orphan_removed",
            instance_id=account.instance_id,
            actor=SERVICE,
            at=runtime.now(),
            request_id=account.request_id or None,
            account=account.name,
        )
    return True


def _is_ended(request_id: int) -> bool:
    db.session.rollback()
    return db.session.scalar(select(AccessRequest.state).where(AccessRequest.id == request_id)) == State.ENDED


def _leftover(request: AccessRequest, since: datetime, why: str, kind: str) -> Leftover:
    return Leftover(
        account_name=request.account_name or f"request {request.public_id}",
        instance_id=request.instance_id,
        request_id=request.id,
        user_id=request.subject_id,
        since=since,
        why=why,
        kind=kind,
    )
