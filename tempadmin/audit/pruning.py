"""The last step: what lies below a checkpoint is deleted, in transactions that nobody waits for (S51).

SQLite has one writer at a time. How many rows one transaction takes follows from how long the one before held the
writer's lock, and between two of them others have as long as that for themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any, cast

from sqlalchemy import Executable, Table, bindparam, delete, func, select, true

from tempadmin.audit.models import AuditCheckpoint, AuditEvent
from tempadmin.clock import steady_seconds
from tempadmin.db import db, transaction

AIM_SECONDS = 0.01
"""How long a transaction should hold the lock; 0.05 s is what it must not reach (issue 7), on a busy machine either."""
FEWEST, MOST = 20, 1_000
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.5

_EVENTS = cast(Table, AuditEvent.__table__)
# Built once: there are many of them.
DELETE_EVENTS = delete(_EVENTS).where(
    _EVENTS.c.instance_id == bindparam("chain"), _EVENTS.c.number <= bindparam("upto")
)


Progress = Callable[[int], None]
"""Told how many rows more were written or deleted."""


class Pace:
    """How many rows the next transaction takes."""

    def __init__(self) -> None:
        self.size = 100

    def note(self, seconds: float, rows: int) -> None:
        """Learn from a transaction that is over, and leave others the lock for as long."""
        if rows >= self.size // 2:
            fitting = int(self.size * min(1.5, AIM_SECONDS / max(seconds, 0.0001)))
            self.size = min(max(fitting, FEWEST), MOST)
        Event().wait(min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))


def delete_events(instance_id: int, end: int, *, pace: Pace, progress: Progress) -> int:
    """Delete the events of a chain up to a number, oldest first; return how many."""
    lowest = select(func.min(AuditEvent.number)).where(AuditEvent.instance_id == instance_id)
    low, done = db.session.scalar(lowest), 0
    while low is not None and low <= end:
        upto = min(low + pace.size - 1, end)
        done += _delete(DELETE_EVENTS, {"chain": instance_id, "upto": upto}, pace=pace, progress=progress)
        low = upto + 1
    db.session.rollback()
    return done


def delete_activity(table: Table, most: int, instance_id: int | None, *, pace: Pace, progress: Progress) -> int:
    """Delete the activity that lies below the checkpoint of its instance; return how many rows.

    Parameters
    ----------
    most
        Up to which id there is any.
    instance_id
        Whose; ``None`` for all.
    """
    mine = table.c.instance_id == instance_id if instance_id is not None else true()
    below = select(AuditCheckpoint.activity_id).where(AuditCheckpoint.instance_id == table.c.instance_id)
    span = table.c.id > bindparam("low"), table.c.id <= bindparam("upto"), mine
    old = delete(table).where(*span, table.c.id <= below.correlate(table).scalar_subquery())
    low, done = 0, 0
    while True:
        chunk = select(table.c.id).where(table.c.id > low, table.c.id <= most, mine).order_by(table.c.id)
        ids = db.session.scalars(chunk.limit(pace.size)).all()
        if not ids:
            db.session.rollback()
            return done
        done += _delete(old, {"low": low, "upto": ids[-1]}, pace=pace, progress=progress)
        low = ids[-1]


def _delete(statement: Executable, values: dict[str, Any], *, pace: Pace, progress: Progress) -> int:
    with transaction(as_service=True) as session:
        began = steady_seconds()  # the lock is held from here on, and what was waited for it is not our doing
        rows = session.connection().execute(statement, values).rowcount
    pace.note(steady_seconds() - began, rows)
    progress(rows)
    return rows
