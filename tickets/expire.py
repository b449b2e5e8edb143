"""Time: requests whose ticket ran out, accesses at their time or idle limit, work that is due again (P11).

Pages refuse from the moment of the limit on, by themselves; this job makes the account go within 30 s, and ten
thousand of them within a minute: in batches, so that nobody waits for it long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import ColumnElement, Table, and_, bindparam, exists, or_, select

from tempadmin.accounts.models import LoginSession
from tempadmin.audit.log import SERVICE
from tempadmin.db import db, is_outage, retried_once, run, transaction
from tempadmin.errors import Unreadable
from tempadmin.runtime import Runtime
from tickets import removal, retry, tokens
from tickets.batches import Pace, leaving_room
from tickets.end import ENDS_OF, end_together
from tickets.machine import locking
from tickets.models import AccessRequest, Ticket
from tickets.states import WITH_DEADLINE, WITH_TICKET, EndReason, State

LOOK_AT_ONCE = 500

# Built once: ten thousand may be over at once.
LOCK = locking(*ENDS_OF, "lapses_at", "ends_at")
_SESSIONS = cast(Table, LoginSession.__table__)
READ_SESSION = select(_SESSIONS.c.ended_at, _SESSIONS.c.last_seen_at, _SESSIONS.c.idle_seconds).where(
    _SESSIONS.c.access_request_id == bindparam("request")
)
LOCK_SESSION = READ_SESSION.with_for_update()

log = structlog.get_logger()


def expire_due(runtime: Runtime) -> str:
    """End every open request whose time is over; return what was done."""
    ended, unknown, ending, removing = 0, 0, Pace(), Pace()
    for ids in ending.slices(_candidates(runtime.now())):
        with leaving_room():
            over, strange = _end_those_over(ids, runtime, ending)
        removal.try_quietly(removal.of_ending(over), pace=removing)
        ended, unknown = ended + len(over), unknown + strange
    return f"{ended} ended" + (f", {unknown} cannot be judged; run tempadmin doctor" if unknown else "")


def retry_due(runtime: Runtime) -> str:
    """Go on with creates and removals that are due; return what was done."""
    done = retry.go_on([], runtime)
    return f"{done[retry.MADE]} made, {done[retry.REMOVED]} removed"


def end_if_over(*, request_id: int, runtime: Runtime) -> bool:
    """Re-read one request under lock and end it if its time is over; return whether it was ended."""
    ended = _end_together([request_id], runtime, Pace())
    removal.try_quietly(removal.of_ending(ended))
    return len(ended) == 1


@retried_once
def _end_together(request_ids: Sequence[int], runtime: Runtime, pace: Pace) -> list[Any]:
    """Re-read requests under lock and end those whose time is over; return them.

    What was true when the job looked may be no longer: a redemption or a last page beats the job (P10).
    """
    with transaction(as_service=True), pace.changing(len(request_ids)):
        requests = run(LOCK, {"requests": request_ids}).all()
        now = runtime.now()
        over = defaultdict(list)
        for request in requests:
            reason = why_over(request, now=now, hold=True)
            if reason is not None:
                over[reason].append(request)
        for reason, together in over.items():
            end_together(together, reason=reason, actor=SERVICE, now=now, promptly=False)
    return [request for together in over.values() for request in together]


def _end_those_over(ids: Sequence[int], runtime: Runtime, pace: Pace) -> tuple[list[Any], int]:
    """End a batch together; where one request spoils that, each alone. Return what ended, and how many spoilt it."""
    try:
        return _end_together(ids, runtime, pace), 0
    except Exception as error:
        if is_outage(error):
            raise
        if len(ids) == 1:
            log.exception("expiry.failed", request_id=ids[0])
            return [], 1
    each = [_end_those_over([one], runtime, pace) for one in ids]
    return [one for ended, _ in each for one in ended], sum(strange for _, strange in each)


def why_over(request: Any, *, now: datetime, hold: bool = False) -> EndReason | None:
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
    session = run(LOCK_SESSION if hold else READ_SESSION, {"request": request.id}).one_or_none()
    if session is None or session.ended_at is not None:
        return EndReason.CLEANED_UP
    idle = _seems_dead(session.ended_at, session.last_seen_at, session.idle_seconds, now)
    return EndReason.IDLE if idle else None


def _candidates(now: datetime) -> Iterator[int]:
    """Yield the requests that may be over; each is judged again under its own lock."""
    alive = exists().where(
        Ticket.request_id == AccessRequest.id,
        Ticket.used_at.is_(None),
        Ticket.voided_at.is_(None),
        Ticket.expires_at > now,
    )
    lapsed = or_(
        and_(AccessRequest.state.in_(WITH_TICKET), ~alive),
        and_(AccessRequest.state.in_(WITH_DEADLINE), AccessRequest.lapses_at <= now),
    )
    for ids in _by_key(lapsed):
        yield from ids
    for ids in _by_key(AccessRequest.state == State.ACTIVE):
        yield from _maybe_over(ids, now)


def _by_key(which: ColumnElement[bool]) -> Iterator[Sequence[int]]:
    """Yield the ids of requests, ascending, some at once: never all are in memory, and those that end are passed."""
    last = 0
    while ids := db.session.scalars(
        select(AccessRequest.id).where(which, AccessRequest.id > last).order_by(AccessRequest.id).limit(LOOK_AT_ONCE)
    ).all():
        last = ids[-1]
        yield ids


def _maybe_over(ids: Sequence[int], now: datetime) -> Sequence[int]:
    """Return those active requests that seem over; all of them when one cannot be read, for each is judged alone."""
    inside = (
        select(
            AccessRequest.id,
            AccessRequest.ends_at,
            LoginSession.ended_at,
            LoginSession.last_seen_at,
            LoginSession.idle_seconds,
        )
        .outerjoin(LoginSession, LoginSession.access_request_id == AccessRequest.id)
        .where(AccessRequest.id.in_(ids))
    )
    try:
        rows = db.session.execute(inside).all()
    except Unreadable:
        return ids
    return [
        request_id
        for request_id, ends_at, ended_at, seen_at, idle in rows
        if ends_at is None or now >= ends_at or _seems_dead(ended_at, seen_at, idle, now)
    ]


def _seems_dead(ended_at: datetime | None, seen_at: datetime | None, idle: int | None, now: datetime) -> bool:
    if seen_at is None or idle is None or ended_at is not None:
        return True
    return now >= seen_at + timedelta(seconds=idle)
