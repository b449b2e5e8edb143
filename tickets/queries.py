"""Reads about access requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import REGULAR, User
from tempadmin.db import db
from tempadmin.errors import NotFound
from tickets.models import TEMPORARY_ADMIN, AccessRequest, Approval, Extension, Ticket
from tickets.states import OPEN, State

STUCK_FAILURES, STUCK_AFTER = 3, timedelta(minutes=15)


def by_public_id(public_id: str) -> AccessRequest:
    """Return a request.

    Raises
    ------
    NotFound
        When there is none.
    """
    query = select(AccessRequest).where(AccessRequest.public_id == public_id)
    request = db.session.scalars(query).one_or_none()
    if request is None:
        raise NotFound("There is no such request.")
    return request


def own_by_public_id(public_id: str, *, requester_id: int) -> AccessRequest:
    """Return a person's own request; raises as ``by_public_id``, also for somebody else's."""
    request = by_public_id(public_id)
    if request.requester_id != requester_id:
        raise NotFound("There is no such request.")
    return request


def newest_first(*, requester_id: int | None = None, attention_at: datetime | None = None) -> Select[AccessRequest]:
    """Return the query of requests: everybody's, one person's, or those whose removal is stuck (P11)."""
    query = select(AccessRequest).order_by(AccessRequest.id.desc())
    if requester_id is not None:
        query = query.where(AccessRequest.requester_id == requester_id)
    if attention_at is not None:
        query = query.where(
            AccessRequest.state == State.ENDING,
            or_(
                AccessRequest.removal_failures >= STUCK_FAILURES,
                AccessRequest.ending_at <= attention_at - STUCK_AFTER,
            ),
        )
    return query


def needs_attention(request: AccessRequest, *, now: datetime) -> bool:
    """Tell whether a removal is stuck: three failures, or a quarter of an hour (P11)."""
    if request.state != State.ENDING or request.ending_at is None:
        return False
    return request.removal_failures >= STUCK_FAILURES or now - request.ending_at >= STUCK_AFTER


def open_of(*, requester_id: int, instance_id: int, kind: str = TEMPORARY_ADMIN) -> AccessRequest | None:
    """Return a person's open request of a kind for an instance."""
    query = select(AccessRequest).where(
        AccessRequest.requester_id == requester_id,
        AccessRequest.instance_id == instance_id,
        AccessRequest.kind == kind,
        AccessRequest.state.in_(OPEN),
    )
    return db.session.scalars(query).first()


def all_open_of(*, requester_id: int) -> list[AccessRequest]:
    """Return a person's open requests, by instance."""
    query = select(AccessRequest).where(AccessRequest.requester_id == requester_id, AccessRequest.state.in_(OPEN))
    return list(db.session.scalars(query.order_by(AccessRequest.instance_name, AccessRequest.id)))


def open_by_instance(instances: Sequence[VirtualInstance]) -> Mapping[int, list[AccessRequest]]:
    """Return the open requests of the given instances, in one query."""
    ids = [instance.id for instance in instances]
    found: dict[int, list[AccessRequest]] = {}
    query = select(AccessRequest).where(AccessRequest.instance_id.in_(ids), AccessRequest.state.in_(OPEN))
    for request in db.session.scalars(query.order_by(AccessRequest.id)):
        found.setdefault(request.instance_id, []).append(request)
    return found


def approvals_of(request: AccessRequest, *, extension_id: int | None = None) -> list[Approval]:
    """Return whose yes a request, or its extension, needs, and what they said."""
    query = select(Approval).where(Approval.request_id == request.id, Approval.extension_id == extension_id)
    return list(db.session.scalars(query.order_by(Approval.side)))


def extension_of(request: AccessRequest) -> Extension | None:
    """Return the request for more time, if it was made."""
    return db.session.scalars(select(Extension).where(Extension.request_id == request.id)).one_or_none()


def made_in(request: AccessRequest) -> list[User]:
    """Return the accounts that a support session invited, or let in again."""
    query = select(User).where(User.made_in_request_id == request.id, User.kind == REGULAR)
    return list(db.session.scalars(query.order_by(User.id)))


def changed_in(request: AccessRequest) -> list[User]:
    """Return the accounts of which a support session changed something else."""
    query = select(User).where(User.changed_in_request_id == request.id, User.kind == REGULAR)
    return list(db.session.scalars(query.order_by(User.id)))


def live_ticket(request: AccessRequest) -> Ticket | None:
    """Return a request's ticket that was neither used nor voided; its time may be over."""
    query = select(Ticket).where(Ticket.request_id == request.id, Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
    return db.session.scalars(query).first()
