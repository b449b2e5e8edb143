"""What every asking has in common: who asks, of which instance, the caps, the row and its approvals."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select

from instances.actions import Listed
from instances.connectors.base import Entry
from instances.models import VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, User
from tempadmin.accounts.queries import in_use
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, run
from tempadmin.errors import Conflict, NotFound
from tempadmin.runtime import Runtime
from tickets import policy
from tickets.models import APPROVED, IMPERSONATION, IS_OPEN, OMNIADMIN_SIDE, SUBJECT_SIDE, AccessRequest, Approval
from tickets.states import EndReason, State

DAY = timedelta(days=1)

# Built once: each asking goes through these, and each redemption through the last.
BY_WEB_ID = select(VirtualInstance).where(VirtualInstance.web_id == bindparam("web_id"))
HOLD = BY_WEB_ID.with_for_update(read=True).execution_options(populate_existing=True)
_MINE = AccessRequest.requester_id == bindparam("requester"), IS_OPEN
_HERE = AccessRequest.requester_id == bindparam("requester"), AccessRequest.instance_id == bindparam("instance")
_PRESENT = select(func.min(AccessRequest.public_id)).where(*_HERE, IS_OPEN, AccessRequest.kind == bindparam("kind"))
LATELY = select(
    _PRESENT.scalar_subquery().label("present"),
    select(func.count()).where(*_MINE).scalar_subquery().label("open_everywhere"),
    func.count().label("asked_here"),
    func.count().filter(AccessRequest.end_reason == EndReason.REJECTED).label("rejected_here"),
).where(*_HERE, AccessRequest.created_at >= bindparam("since"))
GIVEN = select(Approval.side).where(
    Approval.request_id == bindparam("request"), Approval.extension_id.is_(None), Approval.decision == APPROVED
)


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
    pending: bool
    """Whether somebody must say yes."""
    made: bool = False
    """Whether its account is there already."""


def locked_asker(requester_id: int) -> User:
    """Lock and return who asks; of two clicks at once one asks and the other is shown what the first did.

    Raises
    ------
    Forbidden, NotFound
        When the person may not ask, or is gone.
    """
    requester = lock(User, requester_id)
    if requester is None:
        raise NotFound("This account is gone.")
    policy.refuse_asker(
        policy.Asker(
            is_omniadmin=requester.role == OMNIADMIN,
            is_active=requester.active,
            is_temporary=requester.temporary,
        )
    )
    return requester


def held_instance(web_id: str) -> VirtualInstance:
    """Return an instance that can be entered, held against archiving and a change of policy until the commit.

    Its lock is shared with other requests: of a request and an archiving the later one sees the earlier.

    Raises
    ------
    NotFound, Conflict
        When there is none, or it cannot be entered.
    """
    instance = db.session.scalars(HOLD, {"web_id": web_id}).one_or_none()
    if instance is None:
        raise NotFound("There is no such instance.")
    policy.refuse_target(target_of(instance))
    return instance


def target_of(instance: VirtualInstance | Listed) -> policy.Target:
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


def longest_of(instance: VirtualInstance, runtime: Runtime) -> timedelta:
    """Return the longest access that an instance allows."""
    return policy.longest_duration(everywhere=runtime.settings.max_duration, here=target_of(instance).longest)


def sides_needed(instance: VirtualInstance | Listed, runtime: Runtime) -> frozenset[str]:
    """Return whose yes an admin access to an instance needs now."""
    return policy.approvals_needed(
        target_of(instance),
        everywhere_omniadmin=runtime.settings.require_omniadmin,
        everywhere_customer=runtime.settings.require_customer,
    )


def sides_missing(request: AccessRequest, instance: VirtualInstance, *, runtime: Runtime) -> frozenset[str]:
    """Return whose yes is wanted now and was not given to a request; none to impersonate.

    A user's consent is the user's alone to give: no policy adds to it.
    """
    if request.kind == IMPERSONATION:
        return frozenset()
    needed = sides_needed(instance, runtime)
    return needed - set(db.session.scalars(GIVEN, {"request": request.id})) if needed else needed


def refuse_if_open_or_flood(*, requester_id: int, instance_id: int, kind: str, now: datetime) -> None:
    """Keep to one open request per person, instance and kind, and to the caps (S35).

    Raises
    ------
    AlreadyOpen
        When one is open.
    RateLimited
        When there were too many.
    """
    asked = {"requester": requester_id, "instance": instance_id, "kind": kind, "since": now - DAY}
    lately = run(LATELY, asked).one()
    if lately.present is not None:
        raise AlreadyOpen(lately.present)
    policy.refuse_flood(
        policy.Lately(
            open_everywhere=lately.open_everywhere,
            asked_here_today=lately.asked_here,
            rejected_here_today=lately.rejected_here,
        )
    )


def can_answer(side: str, *, requester: User, instance_id: int) -> bool:
    """Tell whether anybody but the requester could say yes for a side: an unanswerable question is not asked."""
    role = OMNIADMIN if side == OMNIADMIN_SIDE else ADMINISTRATOR
    others = select(User.id).where(User.role == role, in_use(), User.email != requester.email)
    if side != OMNIADMIN_SIDE:
        others = others.where(User.instance_id == instance_id)
    return db.session.scalar(others.limit(1)) is not None


def new_public_id() -> str:
    """Return a new name for a request in addresses and commands; no hyphen in it, for ``-x`` would be an option."""
    return secrets.token_urlsafe(16).replace("-", "_")


def add_request(
    *,
    kind: str,
    entry: Entry,
    requester: User,
    instance: VirtualInstance,
    sides: Iterable[str],
    now: datetime,
    **facts: Any,
) -> AccessRequest:
    """Add a request to the open transaction, with an unanswered approval for each side whose yes it needs.

    Without any it goes straight to ``provisioning``: its account is wanted from now on.
    """
    sides = sorted(sides)
    facts.update({"lapses_at": facts["lapses_at"]} if sides else {"provisioning_at": now, "lapses_at": None})
    request = AccessRequest(
        public_id=new_public_id(),
        kind=kind,
        state=State.PENDING_APPROVAL if sides else State.PROVISIONING,
        state_since=now,
        requester_id=requester.id,
        requester_name=requester.full_name,
        requester_email=requester.email,
        instance_id=instance.id,
        instance_name=instance.name,
        connector=instance.connector,
        entry=entry,
        created_at=now,
        next_attempt_at=None if sides else now,
        **facts,
    )
    db.session.add(request)
    db.session.flush()
    db.session.add_all(Approval(request_id=request.id, side=side) for side in sides)
    record(
        "access.requested",
        instance_id=instance.id,
        actor=Actor(id=requester.id, name=requester.full_name),
        at=now,
        request_id=request.id,
        kind=kind,
        reason=request.reason,
        external_ticket=request.external_ticket,
        duration_seconds=request.duration_seconds,
        subject=request.account_email if SUBJECT_SIDE in sides else None,
        approvals=", ".join(sides) or None,
    )
    return request
