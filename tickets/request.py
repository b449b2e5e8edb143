"""Asking for access: the policy says yes, the row is inserted, the record written; nothing is made yet."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, NotFound
from tempadmin.runtime import Runtime
from tickets import policy
from tickets.models import TEMPORARY_ADMIN, AccessRequest
from tickets.states import OPEN, EndReason, State


class AlreadyOpen(Conflict):
    """The person has an open request for this instance; ``public_id`` says which."""

    def __init__(self, public_id: str) -> None:
        super().__init__("You have an open request for this instance already.")
        self.public_id = public_id


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was made: the row's id for the next step, the public id for addresses."""

    id: int
    public_id: str


@retried_once
def request_access(
    *,
    requester_id: int,
    web_id: str,
    reason: str,
    external_ticket: str | None,
    duration: timedelta,
    runtime: Runtime,
) -> Asked:
    """Ask for temporary administrator access to an instance.

    The requester's row is locked first, so of two clicks at once one asks and the other is shown what the first did.

    Raises
    ------
    Forbidden
        When the person may not ask, or the policy needs a yes that nobody here can give.
    NotFound, Conflict
        When the instance cannot be entered, or an open request stands (``AlreadyOpen``).
    Invalid
        When reason, external ticket or duration cannot be taken.
    """
    reason, external_ticket = policy.checked_reason(reason), policy.checked_external_ticket(external_ticket)
    with transaction():
        requester = lock(User, requester_id)
        now = runtime.now()
        if requester is None:
            raise NotFound("This account is gone.")
        policy.refuse_asker(
            policy.Asker(
                is_omniadmin=requester.role == OMNIADMIN,
                is_active=requester.active,
                is_temporary=requester.temporary,
            )
        )
        # Shared with other requests, not with an archiving: of those two the later one sees the earlier.
        row = select(VirtualInstance).where(VirtualInstance.web_id == web_id).with_for_update(read=True)
        instance = db.session.scalars(row.execution_options(populate_existing=True)).one_or_none()
        if instance is None:
            raise NotFound("There is no such instance.")
        target = target_of(instance)
        policy.refuse_target(target)
        settings = runtime.settings
        if policy.approvals_needed(
            target,
            everywhere_omniadmin=settings.require_omniadmin,
            everywhere_customer=settings.require_customer,
        ):
            raise Forbidden("This instance asks for an approval first, and this version cannot collect approvals.")
        longest = policy.longest_duration(everywhere=settings.max_duration, here=target.longest)
        duration = policy.checked_duration(duration, longest=longest)
        if (open_one := _open_request(requester_id, instance.id)) is not None:
            raise AlreadyOpen(open_one)
        policy.refuse_flood(_lately(requester_id, instance.id, since=now - timedelta(days=1)))
        request = _new(requester, instance, reason=reason, external_ticket=external_ticket, duration=duration, now=now)
        db.session.add(request)
        db.session.flush()
        record(
            "access.requested",
            instance_id=instance.id,
            actor=Actor(id=requester.id, name=requester.full_name),
            at=now,
            request_id=request.id,
            reason=reason,
            external_ticket=external_ticket,
            duration_seconds=request.duration_seconds,
        )
        return Asked(id=request.id, public_id=request.public_id)


def target_of(instance: VirtualInstance) -> policy.Target:
    """Return what the policy needs to know of an instance.

    Raises
    ------
    Unreadable
        When its policy cannot be read (S36).
    """
    seconds = instance.max_duration_seconds
    return policy.Target(
        is_default=policy.read_flag(instance.is_default),
        is_archived=instance.archived_at is not None,
        require_omniadmin=policy.read_flag(instance.require_omniadmin),
        require_customer=policy.read_flag(instance.require_customer),
        longest=None if seconds is None else policy.read_seconds(seconds),
    )


def _open_request(requester_id: int, instance_id: int) -> str | None:
    query = select(AccessRequest.public_id).where(
        AccessRequest.requester_id == requester_id,
        AccessRequest.instance_id == instance_id,
        AccessRequest.kind == TEMPORARY_ADMIN,
        AccessRequest.state.in_(OPEN),
    )
    return db.session.scalar(query)


def _lately(requester_id: int, instance_id: int, *, since: datetime) -> policy.Lately:
    """Count what a person asked for; the requester's row is locked, so no rival click slips past."""
    mine = AccessRequest.requester_id == requester_id
    here_today = and_(AccessRequest.instance_id == instance_id, AccessRequest.created_at >= since)
    rejected = and_(here_today, AccessRequest.end_reason == EndReason.REJECTED)

    counts = (func.count().filter(condition) for condition in (AccessRequest.state.in_(OPEN), here_today, rejected))
    everywhere, today, refused = tuple(db.session.execute(select(*counts).where(mine)).one())
    return policy.Lately(open_everywhere=everywhere, asked_here_today=today, rejected_here_today=refused)


def _new(
    requester: User,
    instance: VirtualInstance,
    *,
    reason: str,
    external_ticket: str | None,
    duration: timedelta,
    now: datetime,
) -> AccessRequest:
    """Return the row of a request that nobody has to approve: its account is wanted from now on."""
    return AccessRequest(
        public_id=secrets.token_urlsafe(16),
        kind=TEMPORARY_ADMIN,
        state=State.PROVISIONING,
        state_since=now,
        requester_id=requester.id,
        requester_name=requester.full_name,
        requester_email=requester.email,
        instance_id=instance.id,
        instance_name=instance.name,
        connector=instance.connector,
        reason=reason,
        external_ticket=external_ticket,
        duration_seconds=int(duration.total_seconds()),
        created_at=now,
        provisioning_at=now,
        next_attempt_at=now,
    )
