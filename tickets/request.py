"""Asking for access: the policy says yes, the row is inserted, the record written; nothing is made yet."""

from __future__ import annotations

from datetime import timedelta

from tempadmin.db import retried_once, transaction
from tempadmin.errors import Conflict
from tempadmin.runtime import Runtime
from tickets import announcements, asking, entries, policy
from tickets.at_once import make_at_once
from tickets.models import CUSTOMER_SIDE, TEMPORARY_ADMIN


@retried_once
def request_access(
    *,
    requester_id: int,
    web_id: str,
    reason: str,
    external_ticket: str | None,
    duration: timedelta,
    runtime: Runtime,
    at_once: bool = False,
) -> asking.Asked:
    """Ask for temporary administrator access to an instance.

    Parameters
    ----------
    at_once
        Make the account in the same transaction, where nobody has to say yes and its directory is our own database.

    Raises
    ------
    Forbidden
        When the person may not ask.
    NotFound, Conflict
        When the instance or its accounts cannot be entered, an open request stands (``AlreadyOpen``), or the policy
        wants a yes that nobody could give.
    Invalid
        When reason, external ticket or duration cannot be taken.
    RateLimited
        When there were too many requests (S35).
    NotMadeError
        When the account could not be made at once; nothing stands then, and the same can be asked without.
    """
    reason, external_ticket = policy.checked_reason(reason), policy.checked_external_ticket(external_ticket)
    with transaction():
        requester = asking.locked_asker(requester_id)
        instance = asking.held_instance(web_id)
        now = runtime.now()
        entry = entries.entry_of(instance)
        duration = policy.checked_duration(duration, longest=asking.longest_of(instance, runtime))
        asking.refuse_if_open_or_flood(
            requester_id=requester_id, instance_id=instance.id, kind=TEMPORARY_ADMIN, now=now
        )
        sides = asking.sides_needed(instance, runtime)
        for side in sorted(sides):
            if not asking.can_answer(side, requester=requester, instance_id=instance.id):
                raise Conflict(NOBODY_AT_CUSTOMER if side == CUSTOMER_SIDE else NO_OTHER_OMNIADMIN)
        request = asking.add_request(
            kind=TEMPORARY_ADMIN,
            entry=entry,
            requester=requester,
            instance=instance,
            sides=sides,
            now=now,
            reason=reason,
            external_ticket=external_ticket,
            duration_seconds=int(duration.total_seconds()),
            lapses_at=now + runtime.settings.approval_ttl,
        )
        if sides:
            announcements.tell_asked(request, now=now)
        made = at_once and not sides and make_at_once(request, now=now, runtime=runtime)
        return asking.Asked(id=request.id, public_id=request.public_id, pending=bool(sides), made=made)


NOBODY_AT_CUSTOMER = (
    "This instance asks its customer first, and it has no administrator who could answer. "
    "Speak to the customer; an administrator there must have an account in use."
)
NO_OTHER_OMNIADMIN = "This instance needs the yes of a second omniadmin, and there is none who could give it."
