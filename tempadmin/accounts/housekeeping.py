"""Forgetting what is of no use any more: counters, invitations, sessions and mails of long ago."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, false, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from tempadmin.accounts.models import Invitation, LoginSession, Throttle
from tempadmin.db import db, transaction
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime
from tempadmin.web.limit_storage import LimitCounter

BATCH = 1_000
COUNTERS, PAUSED_COUNTERS = timedelta(days=1), timedelta(days=7)
INVITATIONS, SESSIONS, MAILS = timedelta(days=30), timedelta(days=90), timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Rows of one table, of which some may be forgotten."""

    name: str
    key: InstrumentedAttribute[Any]
    is_old: ColumnElement[bool]
    may_be_old: ColumnElement[bool]
    """Keys grow, and what was made lately is not old: a batch that is younger altogether is the last one read."""


def tidy(runtime: Runtime) -> str:
    """Delete in batches, each in a transaction of its own, so that nobody waits long for the database."""
    counts = {kind.name: sum(_batches(kind)) for kind in _kinds(runtime.now())}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) + " forgotten"


def _kinds(now: datetime) -> Iterator[_Kind]:
    # A counter never forgets faster than its pauses let anybody guess: a few tries a day, or an hour's pause each.
    harmless = and_(Throttle.blocked_until.is_(None), Throttle.updated_at < now - COUNTERS)
    is_old = or_(harmless, Throttle.updated_at < now - PAUSED_COUNTERS)
    yield _Kind(name="counters", key=Throttle.key, is_old=is_old, may_be_old=true())
    is_old = LimitCounter.expires_at < now
    yield _Kind(name="ceilings", key=LimitCounter.key, is_old=is_old, may_be_old=true())
    before = now - INVITATIONS
    is_old = or_(Invitation.used_at < before, Invitation.expires_at < before)
    yield _Kind(name="invitations", key=Invitation.id, is_old=is_old, may_be_old=Invitation.created_at < before)
    before = now - SESSIONS
    # A support session that was never ended belongs to an access that is being ended: not to be touched here.
    lapsed = and_(
        LoginSession.ended_at.is_(None), LoginSession.expires_at < before, LoginSession.access_request_id.is_(None)
    )
    is_old = or_(LoginSession.ended_at < before, lapsed)
    yield _Kind(name="sessions", key=LoginSession.id, is_old=is_old, may_be_old=LoginSession.created_at < before)
    before = now - MAILS
    made_before = OutboxMessage.created_at < before
    given_up = and_(OutboxMessage.sent_at.is_(None), OutboxMessage.next_attempt_at.is_(None), made_before)
    is_old = or_(OutboxMessage.sent_at < before, given_up)
    yield _Kind(name="mails", key=OutboxMessage.id, is_old=is_old, may_be_old=made_before)


def _batches(kind: _Kind) -> Iterator[int]:
    """Go through a table by its key, look without a lock, and delete what is old; yield how much."""
    # As words of SQL: a moment that cannot be read must not keep the others (S36).
    old, maybe = (func.coalesce(which, false()) for which in (kind.is_old, kind.may_be_old))
    query = select(kind.key, old, maybe).order_by(kind.key).limit(BATCH)
    rows = db.session.execute(query).all()
    while rows:
        db.session.rollback()
        found = [key for key, is_old, _ in rows if is_old]
        if found:
            with transaction(as_service=True) as session:
                session.execute(delete(kind.key.class_).where(kind.key.in_(found), kind.is_old))
        yield len(found)
        if len(rows) < BATCH or not any(may_be_old for _, _, may_be_old in rows):
            return
        rows = db.session.execute(query.where(kind.key > rows[-1][0])).all()
