"""The customer's own policy: whether to be asked first, and how long an access may last at most.

It adds to the operator's minimum and never takes from it. A tighter policy holds at once: what is open and does not
fit it any more ends in the same transaction (S23).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from instances.directory import Acting
from instances.models import VirtualInstance
from instances.vouching import trusted_administrator
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Invalid, NotFound
from tempadmin.runtime import Runtime
from tickets import asking, more_time
from tickets.end import begin_ending
from tickets.machine import locked
from tickets.models import APPROVED, IMPERSONATION, IS_OPEN, AccessRequest, Approval
from tickets.states import OPEN, EndReason, State


@retried_once
def change_policy(*, acting: Acting, require_customer: bool, longest: timedelta | None, runtime: Runtime) -> int:
    """Change an instance's policy as one of its administrators; return how many open accesses ended by that.

    Parameters
    ----------
    longest
        The longest access; ``None`` for the operator's own maximum.

    Raises
    ------
    Forbidden
        In a support session, and for accounts that one made and nobody vouched for (S25).
    Invalid
        When the longest access is under a second or over the operator's maximum.
    """
    everywhere = runtime.settings.max_duration
    if longest is not None and not timedelta(seconds=1) <= longest <= everywhere:
        hours = int(everywhere.total_seconds() // 60)
        raise Invalid(f"Choose a maximum of 1 to {hours} minutes.", field="longest")
    with transaction():
        person = trusted_administrator(acting)
        instance = lock(VirtualInstance, acting.instance_id)
        if instance is None or instance.is_default:
            raise NotFound("There is no such instance.")
        now = runtime.now()
        instance.require_customer = require_customer
        instance.max_duration_seconds = None if longest is None else int(longest.total_seconds())
        db.session.flush()
        actor = Actor(id=person.id, name=person.full_name)
        record(
            "policy.changed",
            instance_id=instance.id,
            actor=actor,
            at=now,
            require_customer=require_customer,
            longest_seconds=instance.max_duration_seconds,
        )
        return end_what_does_not_fit(instance, actor=actor, now=now, runtime=runtime)


def end_what_does_not_fit(instance: VirtualInstance, *, actor: Actor, now: datetime, runtime: Runtime) -> int:
    """End every open request of the instance that today's policy would not have let through."""
    longest = asking.longest_of(instance, runtime)
    needed = asking.sides_needed(instance, runtime)
    ended = 0
    open_here = select(AccessRequest.id).where(AccessRequest.instance_id == instance.id, IS_OPEN)
    for request_id in db.session.scalars(open_here.order_by(AccessRequest.id)).all():
        request = locked(request_id)
        if State(request.state) not in OPEN:
            continue
        if _fits(request, needed=needed, longest=longest):
            more_time.void_unless_fits(request, now=now, runtime=runtime)
        else:
            begin_ending(request, reason=EndReason.POLICY_CHANGED, actor=actor, now=now)
            ended += 1
    return ended


def _fits(request: AccessRequest, *, needed: frozenset[str], longest: timedelta) -> bool:
    lasts = timedelta(seconds=request.duration_seconds)
    if request.started_at is not None and request.ends_at is not None:
        lasts = request.ends_at - request.started_at
    if lasts > longest:
        return False
    if request.kind == IMPERSONATION:
        return True
    answers = select(Approval.side, Approval.decision).where(
        Approval.request_id == request.id, Approval.extension_id.is_(None)
    )
    # A side that is still being asked fits: the request cannot go on without its yes.
    asked = {side for side, decision in db.session.execute(answers) if decision in (None, APPROVED)}
    return needed <= asked
