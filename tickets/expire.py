"""Time: requests whose ticket ran out, accesses at their time or idle limit, work that is due again (P11).

Pages refuse from the moment of the limit on, by themselves; this job makes the account go within 30 s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, exists, or_, select
from sqlalchemy.exc import OperationalError

from tempadmin.accounts.models import LoginSession
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, transaction
from tempadmin.runtime import Runtime
from tickets import tokens
from tickets.end import begin_ending, deprovision
from tickets.machine import locked
from tickets.models import AccessRequest, Ticket
from tickets.provision import provision
from tickets.states import WITH_DEADLINE, WITH_TICKET, EndReason, State

BATCH = 200

log = structlog.get_logger()


def expire_due(runtime: Runtime) -> str:
    """End every open request whose time is over; return what was done."""
    ended = sum(end_if_over(request_id=request_id, runtime=runtime) for request_id in _candidates(runtime.now()))
    return f"{ended} ended"


def retry_due(runtime: Runtime) -> str:
    """Go on with creates and removals that are due; return what was done."""
    now = runtime.now()
    due = (
        select(AccessRequest.id, AccessRequest.state)
        .where(
            AccessRequest.state.in_((State.PROVISIONING, State.ENDING)),
            AccessRequest.next_attempt_at <= now,
        )
        .order_by(AccessRequest.next_attempt_at)
        .limit(BATCH)
    )
    made = removed = 0
    for request_id, state in db.session.execute(due).all():
        try:
            if state == State.PROVISIONING:
                made += provision(request_id=request_id, runtime=runtime)
            else:
                removed += deprovision(request_id=request_id, runtime=runtime)
        except OperationalError:
            raise  # the database is away: the others would fail alike
        except Exception:
            log.exception("retry.failed", request_id=request_id)  # and no other request waits for this one
    return f"{made} made, {removed} removed"


def end_if_over(*, request_id: int, runtime: Runtime) -> bool:
    """Re-read one request under lock and end it if its time is over; return whether it was ended.

    What was true when the job looked may be no longer: a redemption or a last page beats the job (P10).
    """
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        reason = why_over(request, now=now, hold=True)
        if reason is None:
            return False
        begin_ending(request, reason=reason, actor=SERVICE, now=now)
    return True


def why_over(request: AccessRequest, *, now: datetime, hold: bool = False) -> EndReason | None:
    """Return why a request's time is over, or ``None`` while it is not.

    Parameters
    ----------
    hold
        Lock the session's row for the open transaction, so that no last page slips in between (P10).
    """
    state = State(request.state)
    if state in WITH_DEADLINE:
        return EndReason.LAPSED if request.lapses_at is None or now >= request.lapses_at else None
    if state in WITH_TICKET:
        return EndReason.LAPSED if tokens.live_until(request_id=request.id, now=now) is None else None
    if state != State.ACTIVE:
        return None
    if request.ends_at is None or now >= request.ends_at:
        return EndReason.TIME_LIMIT
    query = select(LoginSession).where(LoginSession.access_request_id == request.id)
    query = query.with_for_update() if hold else query
    session = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if session is None or session.ended_at is not None:
        return EndReason.CLEANED_UP
    return EndReason.IDLE if _seems_dead(session, now) else None


def _candidates(now: datetime) -> list[int]:
    """Return the requests that may be over; each is judged again under its own lock."""
    alive = exists().where(
        Ticket.request_id == AccessRequest.id,
        Ticket.used_at.is_(None),
        Ticket.voided_at.is_(None),
        Ticket.expires_at > now,
    )
    lapsed = select(AccessRequest.id).where(
        or_(
            and_(AccessRequest.state.in_(WITH_TICKET), ~alive),
            and_(AccessRequest.state.in_(WITH_DEADLINE), AccessRequest.lapses_at <= now),
        )
    )
    inside = (
        select(AccessRequest.id, AccessRequest.ends_at, LoginSession)
        .outerjoin(LoginSession, LoginSession.access_request_id == AccessRequest.id)
        .where(AccessRequest.state == State.ACTIVE)
    )
    over = [
        request_id
        for request_id, ends_at, session in db.session.execute(inside).all()
        if ends_at is None or now >= ends_at or _seems_dead(session, now)
    ]
    return sorted([*db.session.scalars(lapsed).all(), *over])


def _seems_dead(session: LoginSession | None, now: datetime) -> bool:
    if session is None or session.ended_at is not None:
        return True
    return now >= session.last_seen_at + timedelta(seconds=session.idle_seconds)
