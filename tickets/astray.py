"""Queries of what does not fit together: the doctor and the invariants say so, reconciliation mends what is safe."""

from __future__ import annotations

from sqlalchemy import Select, and_, or_, select

from tempadmin.accounts.models import TEMPORARY, LoginSession, User
from tempadmin.db import db
from tickets.models import TEMPORARY_ADMIN, AccessRequest, Ticket
from tickets.states import WITH_TICKET, State

WITH_ACCOUNT = (State.PROVISIONING, State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE, State.ENDING)
MADE = (State.AWAITING_CONFIRMATION, State.READY, State.ACTIVE)


def accounts_without_right() -> list[tuple[User, AccessRequest | None]]:
    """Return temporary accounts that no request entitles (P1); an ended one is found by either end of the link."""
    no_right = or_(AccessRequest.id.is_(None), AccessRequest.state.not_in(WITH_ACCOUNT))
    by_user = select(User, AccessRequest).outerjoin(AccessRequest, AccessRequest.id == User.access_request_id)
    rows = db.session.execute(by_user.where(User.kind == TEMPORARY, no_right)).all()
    by_request = select(User, AccessRequest).join(AccessRequest, AccessRequest.subject_id == User.id)
    theirs = and_(User.kind == TEMPORARY, AccessRequest.kind == TEMPORARY_ADMIN)
    rows = [*rows, *db.session.execute(by_request.where(theirs, no_right)).all()]
    found: dict[User, AccessRequest | None] = {row[0]: row[1] for row in rows}
    return sorted(found.items(), key=lambda pair: pair[0].id)


def requests_without_account() -> Select[AccessRequest]:
    """Return the query of open requests whose account here is gone, or another's."""
    own = and_(
        User.id == AccessRequest.subject_id,
        User.kind == TEMPORARY,
        User.access_request_id == AccessRequest.id,
        User.instance_id == AccessRequest.instance_id,
    )
    gone = select(AccessRequest).outerjoin(User, own).where(AccessRequest.kind == TEMPORARY_ADMIN, User.id.is_(None))
    missing = or_(
        AccessRequest.state.in_(MADE),
        and_(AccessRequest.state == State.PROVISIONING, AccessRequest.subject_id.is_not(None)),
    )
    return gone.where(missing).order_by(AccessRequest.id)


def live_sessions_without_right() -> Select[LoginSession, AccessRequest]:
    """Return the query of live support sessions beside a request that is not active, or is none."""
    return (
        select(LoginSession, AccessRequest)
        .outerjoin(AccessRequest, AccessRequest.id == LoginSession.access_request_id)
        .where(LoginSession.access_request_id.is_not(None), LoginSession.ended_at.is_(None))
        .where(or_(AccessRequest.id.is_(None), AccessRequest.state != State.ACTIVE))
        .order_by(LoginSession.id)
    )


def live_tickets_without_right() -> Select[Ticket, AccessRequest]:
    """Return the query of live tickets that their request does not wait for, or that have none."""
    waits = or_(*(and_(AccessRequest.state == state, Ticket.purpose == what) for state, what in WITH_TICKET.items()))
    return (
        select(Ticket, AccessRequest)
        .outerjoin(AccessRequest, AccessRequest.id == Ticket.request_id)
        .where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None), or_(AccessRequest.id.is_(None), ~waits))
        .order_by(Ticket.id)
    )
