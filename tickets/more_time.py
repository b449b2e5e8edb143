"""More time for an access, as the policy of this moment sees it: how much, whose yes, and whether it still fits."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import claimed, db
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import Runtime
from tickets import asking
from tickets.models import (
    CUSTOMER_SIDE,
    IMPERSONATION,
    PENDING,
    SUBJECT_SIDE,
    VOID,
    AccessRequest,
    Approval,
    Extension,
)
from tickets.request import NO_OTHER_OMNIADMIN, NOBODY_AT_CUSTOMER
from tickets.states import State


def most_addable(request: AccessRequest, *, longest: timedelta) -> timedelta:
    """Return how much time an active access can still be given within the maximum."""
    if request.started_at is None or request.ends_at is None:
        return timedelta(0)
    return max(timedelta(0), longest - (request.ends_at - request.started_at))


def fits(request: AccessRequest, extension: Extension, *, runtime: Runtime) -> bool:
    """Tell whether today's policy lets more time be given that is still being asked for; the request's lock is held."""
    instance = db.session.get_one(VirtualInstance, request.instance_id, populate_existing=True)
    if timedelta(seconds=extension.added_seconds) > most_addable(request, longest=asking.longest_of(instance, runtime)):
        return False
    rows = select(Approval.side).where(Approval.extension_id == extension.id)
    return request.kind == IMPERSONATION or asking.sides_needed(instance, runtime) <= set(db.session.scalars(rows))


def void_unless_fits(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Void what was asked under an easier policy, in the open transaction that tightened it (S23)."""
    waiting = select(Extension).where(Extension.request_id == request.id, Extension.state == PENDING)
    extension = db.session.scalars(waiting.execution_options(populate_existing=True)).one_or_none()
    if extension is not None and not fits(request, extension, runtime=runtime):
        settle_extension(extension, VOID, now=now)


def sides_to_ask(request: AccessRequest, user: User, *, added: timedelta, now: datetime, runtime: Runtime) -> list[str]:
    """Return whose yes more time needs by the policy of this moment.

    Raises
    ------
    Conflict
        When the access is not active, more time was asked for before, or nobody could give a yes that is needed.
    Invalid
        When it is too much.
    """
    if request.state != State.ACTIVE or request.ends_at is None or now >= request.ends_at:
        raise Conflict("Only an access that is going on can be extended.")
    if db.session.scalar(select(Extension.id).where(Extension.request_id == request.id)) is not None:
        raise Conflict("More time was asked for already; that is possible once. Make a new request instead.")
    instance = db.session.get_one(VirtualInstance, request.instance_id, populate_existing=True)
    most = most_addable(request, longest=asking.longest_of(instance, runtime))
    if not timedelta(seconds=1) <= added <= most:
        minutes = int(most.total_seconds() // 60)
        raise Invalid(f"At most {minutes} minutes can be added here. Choose a shorter time.", field="duration")
    if request.kind == IMPERSONATION:
        return [SUBJECT_SIDE]
    sides = sorted(asking.sides_needed(instance, runtime))
    for side in sides:
        if not asking.can_answer(side, requester=user, instance_id=instance.id):
            raise Conflict(NOBODY_AT_CUSTOMER if side == CUSTOMER_SIDE else NO_OTHER_OMNIADMIN)
    return sides


def settle_extension(extension: Extension, state: str, *, now: datetime) -> None:
    """Write what became of it by a guarded UPDATE in the open transaction, which holds the request's lock.

    Raises
    ------
    Conflict
        When it was settled meanwhile.
    """
    waiting = update(Extension).where(Extension.id == extension.id, Extension.state == PENDING)
    if not claimed(waiting.values(state=state, settled_at=now)):
        raise Conflict("Somebody else was faster. The page now shows what happened.")
