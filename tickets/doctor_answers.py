"""Checks of requests × approvals × extensions that do not fit together; the doctor's part about who said yes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Select, and_, exists, or_, select

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error
from tempadmin.errors import Unreadable
from tempadmin.runtime import Runtime
from tickets import asking
from tickets.models import (
    APPROVED,
    GRANTED,
    IMPERSONATION,
    PENDING,
    SUBJECT_SIDE,
    AccessRequest,
    Approval,
    Extension,
)
from tickets.states import OPEN, WITH_DEADLINE, State

PAST_APPROVAL = tuple(state for state in State if state in OPEN and state != State.PENDING_APPROVAL)
"""The states in which every yes was given."""

Requests = Select[AccessRequest]


def what_does_not_fit(runtime: Runtime, *, end: Callable[[AccessRequest], str]) -> Iterator[Finding]:
    """Yield every fault.

    Parameters
    ----------
    end
        What to do about a request.
    """
    for query, words in (
        (_waiting_for_nobody(), "waits for an answer, and nobody is asked"),
        (_answered_and_gone_on(), "went on without a yes that was asked for"),
        (_without_deadline(), "waits, and never lapses"),
        (_asking_after_the_end(), "is not active, and asks for more time still"),
        (_granted_unanswered(), "was given more time without a yes that was asked for"),
    ):
        for request in db.session.scalars(query.order_by(AccessRequest.id)):
            yield error(f"request {request.public_id} {words}", end(request))
    yield from _without_what_is_wanted(runtime, end)


def _without_what_is_wanted(runtime: Runtime, end: Callable[[AccessRequest], str]) -> Iterator[Finding]:
    """Requests that went on without a yes that the policy wants now; one statement, as everywhere here."""
    given = and_(
        Approval.request_id == AccessRequest.id, Approval.extension_id.is_(None), Approval.decision == APPROVED
    )
    query = (
        select(AccessRequest, VirtualInstance, Approval.side)
        .join(VirtualInstance, VirtualInstance.id == AccessRequest.instance_id)
        .outerjoin(Approval, given)
        .where(AccessRequest.state.in_(PAST_APPROVAL))
        .order_by(AccessRequest.id)
    )
    sides: dict[AccessRequest, set[str]] = {}
    instances = {}
    for request, instance, side in db.session.execute(query).all():
        sides.setdefault(request, set()).add(side)
        instances[request] = instance
    for request, said in sides.items():
        try:
            wanted = asking.sides_needed(instances[request], runtime)
        except Unreadable:
            yield error(f"the policy of {request.instance_name} cannot be read: nobody gets in there", end(request))
            continue
        if request.kind == IMPERSONATION:
            wanted = frozenset({SUBJECT_SIDE})
        for side in sorted(wanted - said):
            yield error(f"request {request.public_id} went on without the yes of the {side}", end(request))


def _waiting_for_nobody() -> Requests:
    asked = exists().where(
        Approval.request_id == AccessRequest.id, Approval.extension_id.is_(None), Approval.decision.is_(None)
    )
    return select(AccessRequest).where(AccessRequest.state == State.PENDING_APPROVAL, ~asked)


def _answered_and_gone_on() -> Requests:
    missing = exists().where(
        Approval.request_id == AccessRequest.id,
        Approval.extension_id.is_(None),
        or_(Approval.decision.is_(None), Approval.decision != APPROVED),
    )
    return select(AccessRequest).where(AccessRequest.state.in_(PAST_APPROVAL), missing)


def _without_deadline() -> Requests:
    return select(AccessRequest).where(AccessRequest.state.in_(tuple(WITH_DEADLINE)), AccessRequest.lapses_at.is_(None))


def _asking_after_the_end() -> Requests:
    asks = exists().where(Extension.request_id == AccessRequest.id, Extension.state == PENDING)
    return select(AccessRequest).where(AccessRequest.state != State.ACTIVE, asks)


def _granted_unanswered() -> Requests:
    missing = exists().where(
        Extension.request_id == AccessRequest.id,
        Extension.state == GRANTED,
        Approval.extension_id == Extension.id,
        or_(Approval.decision.is_(None), Approval.decision != APPROVED),
    )
    return select(AccessRequest).where(missing)
