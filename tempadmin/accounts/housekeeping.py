"""Forgetting what is of no use any more: counters, invitations, sessions and mails of long ago."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from tempadmin.accounts.models import Invitation, LoginSession, Throttle
from tempadmin.db import db, transaction
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import Runtime
from tempadmin.web.limit_storage import LimitCounter

BATCH = 1_000
COUNTERS, PAUSED_COUNTERS = timedelta(days=1), timedelta(days=7)
INVITATIONS, SESSIONS, MAILS = timedelta(days=30), timedelta(days=90), timedelta(days=90)

Old = tuple[str, InstrumentedAttribute[Any], ColumnElement[bool]]


def tidy(runtime: Runtime) -> str:
    """Delete in batches, each in a transaction of its own, so that nobody waits long for the database."""
    counts = {name: sum(_batches(key, is_old)) for name, key, is_old in _old(runtime.now())}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) + " forgotten"


def _old(now: datetime) -> Iterator[Old]:
    # A counter never forgets faster than its pauses let anybody guess: a few tries a day, or an hour's pause each.
    harmless = and_(Throttle.blocked_until.is_(None), Throttle.updated_at < now - COUNTERS)
    yield "counters", Throttle.key, or_(harmless, Throttle.updated_at < now - PAUSED_COUNTERS)
    yield "ceilings", LimitCounter.key, LimitCounter.expires_at < now
    before = now - INVITATIONS
    yield "invitations", Invitation.id, or_(Invitation.used_at < before, Invitation.expires_at < before)
    before = now - SESSIONS
    # A support session that was never ended belongs to an access that is being ended: not to be touched here.
    lapsed = and_(
        LoginSession.ended_at.is_(None), LoginSession.expires_at < before, LoginSession.access_request_id.is_(None)
    )
    yield "sessions", LoginSession.id, or_(LoginSession.ended_at < before, lapsed)
    before = now - MAILS
    given_up = and_(
        OutboxMessage.sent_at.is_(None), OutboxMessage.next_attempt_at.is_(None), OutboxMessage.created_at < before
    )
    yield "mails", OutboxMessage.id, or_(OutboxMessage.sent_at < before, given_up)


def _batches(key: InstrumentedAttribute[Any], is_old: ColumnElement[bool]) -> Iterator[int]:
    while True:
        with transaction(as_service=True):
            found = db.session.scalars(select(key).where(is_old).order_by(key).limit(BATCH)).all()
            if found:
                db.session.execute(delete(key.class_).where(key.in_(found), is_old))
        yield len(found)
        if len(found) < BATCH:
            return
