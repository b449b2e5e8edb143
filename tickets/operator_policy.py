"""The operator's part of an instance's policy.

Three things make it, and each can be loosened by one side only:

- the settings ``require_*`` and ``max_duration`` are the operator's minimum for all instances; nothing takes from it;
- ``require_omniadmin`` of an instance is the operator's alone, who switches it on and off;
- ``require_customer`` and the longest access of an instance belong to its customer. The operator may tighten them,
  before anybody there could, or by contract; loosening them is for the instance's administrators, on their own page.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid, NotFound
from tempadmin.runtime import Runtime
from tickets import asking
from tickets.change_policy import end_what_does_not_fit


@retried_once
def change_as_operator(
    *,
    web_id: str,
    actor: Actor,
    require_omniadmin: bool | None,
    require_customer: bool | None,
    longest: timedelta | None,
    runtime: Runtime,
) -> int:
    """Change what is given, and return how many open accesses ended by that: a tighter policy holds at once (S23).

    Parameters
    ----------
    require_omniadmin, require_customer, longest
        ``None`` leaves each as it is.

    Raises
    ------
    NotFound, Conflict
        When there is no such instance, it was archived, or it is the default one, which nobody enters.
    Forbidden
        When it would loosen what belongs to the customer.
    Invalid
        When the longest access is under a second.
    """
    if longest is not None and longest < timedelta(seconds=1):
        raise Invalid("An access lasts a second or more.", field="longest")
    with transaction():
        instance = _locked(web_id)
        if require_customer is False and instance.require_customer:
            raise Forbidden(f"{instance.name} is asked first. Only an administrator there can switch that off.")
        present = asking.longest_of(instance, runtime)
        if longest is not None and longest > present:
            minutes = int(present.total_seconds() // 60)
            raise Forbidden(f"{instance.name} allows {minutes} minutes. Only an administrator there can allow more.")
        if require_omniadmin is not None:
            instance.require_omniadmin = require_omniadmin
        if require_customer is not None:
            instance.require_customer = require_customer
        if longest is not None:
            instance.max_duration_seconds = int(longest.total_seconds())
        db.session.flush()
        now = runtime.now()
        record(
            "policy.changed",
            instance_id=instance.id,
            actor=actor,
            at=now,
            require_customer=instance.require_customer,
            require_omniadmin=instance.require_omniadmin,
            longest_seconds=instance.max_duration_seconds,
        )
        return end_what_does_not_fit(instance, actor=actor, now=now, runtime=runtime)


def _locked(web_id: str) -> VirtualInstance:
    instance_id = db.session.scalar(select(VirtualInstance.id).where(VirtualInstance.web_id == web_id))
    instance = None if instance_id is None else lock(VirtualInstance, instance_id)
    if instance is None or instance.archived_at is not None:
        raise NotFound(f"There is no instance {web_id}.")
    if instance.is_default:
        raise Conflict("Nobody asks for access to the default instance, so it has no policy.")
    return instance
