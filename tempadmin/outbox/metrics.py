"""What is measured of the mails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from tempadmin.db import db
from tempadmin.metrics.registry import Figure, Reading
from tempadmin.outbox.models import OutboxMessage
from tempadmin.outbox.queue import POINTLESS
from tempadmin.runtime import Runtime

WAITING = Figure(name="tempadmin_mails_waiting", help="Mails that are to be sent, or to be tried again.")
OLDEST = Figure(name="tempadmin_mails_oldest_waiting_seconds", help="How long the oldest of them waits; 0 if none.")
GIVEN_UP = Figure(name="tempadmin_mails_given_up", help="Mails of the last 90 days that could not be sent at all.")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def read(runtime: Runtime) -> Iterator[Reading]:
    """Count what waits, and what was given up."""
    # Not `IS NOT NULL`: for that SQLite reads the whole table.
    waits = select(func.count(), func.min(OutboxMessage.created_at)).where(OutboxMessage.next_attempt_at > LONG_AGO)
    waiting, oldest = db.session.execute(waits).one()
    yield WAITING.of(waiting)
    yield OLDEST.of(max(runtime.now() - oldest, timedelta(0)).total_seconds() if waiting else 0)
    given_up = select(func.count()).where(
        OutboxMessage.sent_at.is_(None), OutboxMessage.next_attempt_at.is_(None), OutboxMessage.last_error != POINTLESS
    )
    yield GIVEN_UP.of(db.session.scalar(given_up) or 0)
