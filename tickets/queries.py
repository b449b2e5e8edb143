"""Reads about access requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, or_, select

from instances.actions import Listed
from tempadmin.accounts.models import REGULAR, User
from tempadmin.db import db, run
from tempadmin.errors import NotFound
from tickets.models import IS_OPEN, TEMPORARY_ADMIN, AccessRequest, Approval, Extension, Ticket
from tickets.states import State

STUCK_FAILURES, STUCK_AFTER = 3, timedelta(minutes=15)
OPEN_AT = (  # built once: each page of the list of instances asks it
    select(AccessRequest.instance_id, AccessRequest.state, AccessRequest.ends_at, AccessRequest.requester_name)
    .where(AccessRequest.instance_id.in_(bindparam("ids", expanding=True)), IS_OPEN)
    .order_by(AccessRequest.id)
)
BY_PUBLIC_ID = select(AccessRequest).where(AccessRequest.public_id == bindparam("public_id"))


def by_public_id(public_id: str) -> AccessRequest:
    """Return a request.

    Raises
    ------
    NotFound
        When there is none.
    """
    request = db.session.scalars(BY_PUBLIC_ID, {"public_id": public_id}).one_or_none()
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
        query = query.where(stuck(attention_at))
    return query


def stuck(now: datetime) -> ColumnElement[bool]:
    """Return the condition of a removal that needs attention: three failures, or a quarter of an hour (P11).

    While a person's word stands that they removed the account by hand, nobody need act; the job goes on looking.
    """
    return and_(
        AccessRequest.state == State.ENDING,
        AccessRequest.removed_by_hand_at.is_(None),
        or_(AccessRequest.removal_failures >= STUCK_FAILURES, AccessRequest.ending_at <= now - STUCK_AFTER),
    )


def needs_attention(request: AccessRequest, *, now: datetime) -> bool:
    """Tell of one request what ``stuck`` asks of all."""
    if request.state != State.ENDING or request.ending_at is None or request.removed_by_hand_at is not None:
        return False
    return request.removal_failures >= STUCK_FAILURES or now - request.ending_at >= STUCK_AFTER


@dataclass(frozen=True, kw_only=True)
class RemovalFigures:
    """How the removals of accounts stand."""

    pending: int
    """Requests in ``ending``."""
    stuck: int
    """Those that need attention (P11)."""
    by_hand: int
    """Those that somebody says to have removed by hand, and no directory has confirmed yet."""
    failed_attempts: int
    """How often the pending ones were tried in vain."""
    oldest_seconds: float
    """Since when the oldest pending one is ending; 0 when there is none."""


def removal_figures(now: datetime) -> RemovalFigures:
    """Return how the removals stand, by one statement; for the metrics and the pages (P11)."""
    by_hand = AccessRequest.removed_by_hand_at.is_not(None)
    pending, attention, said, failures, oldest = db.session.execute(
        select(
            func.count(),
            func.count(case((stuck(now), 1))),
            func.count(case((by_hand, 1))),
            func.coalesce(func.sum(AccessRequest.removal_failures), 0),
            func.min(AccessRequest.ending_at),
        ).where(AccessRequest.state == State.ENDING)
    ).one()
    return RemovalFigures(
        pending=pending,
        stuck=attention,
        by_hand=said,
        failed_attempts=int(failures),
        oldest_seconds=0 if oldest is None else max(0, (now - oldest).total_seconds()),
    )


def open_of(*, requester_id: int, instance_id: int, kind: str = TEMPORARY_ADMIN) -> AccessRequest | None:
    """Return a person's open request of a kind for an instance."""
    query = select(AccessRequest).where(
        AccessRequest.requester_id == requester_id,
        AccessRequest.instance_id == instance_id,
        AccessRequest.kind == kind,
        IS_OPEN,
    )
    return db.session.scalars(query).first()


def all_open_of(*, requester_id: int) -> list[AccessRequest]:
    """Return a person's open requests, by instance."""
    query = select(AccessRequest).where(AccessRequest.requester_id == requester_id, IS_OPEN)
    return list(db.session.scalars(query.order_by(AccessRequest.instance_name, AccessRequest.id)))


def open_by_instance(instances: Sequence[Listed]) -> Mapping[int, list[Any]]:
    """Return what a list says of the open requests of the given instances: rows of ``OPEN_AT``, in one query."""
    found: dict[int, list[Any]] = {}
    for request in run(OPEN_AT, {"ids": [instance.id for instance in instances]}):
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
