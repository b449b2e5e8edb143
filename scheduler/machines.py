"""Two machines on one SQLite file: noticed by the host's name in the lease, and refused.

A file that two machines reach lies on a network's file system, where SQLite's locks do not hold: both would write.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from scheduler import lease
from scheduler.models import SchedulerLease
from tempadmin.db import db
from tempadmin.runtime import Runtime
from tempadmin.settings import SettingsError

ADVICE = "SQLite is for one machine: set database_url to a PostgreSQL, or stop the other machine"
LOOK_AGAIN_SECONDS = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another machine that holds the lease."""

    host: str
    expires_at: datetime


def other_host(runtime: Runtime, *, host: str | None = None) -> Rival | None:
    """Return the other machine that leads on this SQLite file; ``None`` on PostgreSQL, which is made for many.

    Parameters
    ----------
    host
        This machine's name.
    """
    db.session.rollback()
    if db.session.get_bind().dialect.name != "sqlite":
        return None
    row = db.session.scalars(select(SchedulerLease).where(SchedulerLease.name == lease.NAME)).one_or_none()
    if row is None or row.host == (host or lease.this_host()) or not lease.is_live(row.expires_at, runtime.now()):
        return None
    return Rival(host=row.host, expires_at=row.expires_at)


def refuse_a_second(runtime: Runtime, *, host: str | None = None) -> None:
    """Wait for another machine's lease to lapse, 20 seconds at most: its process may have died, or its folder moved.

    Raises
    ------
    SettingsError
        When the other machine renews its lease meanwhile: it is alive.
    """
    first = other_host(runtime, host=host)
    if first is None:
        return
    log.warning("scheduler.waits_for_other_machine", leads=first.host, until=first.expires_at.isoformat())
    pause = threading.Event()
    while (rival := other_host(runtime, host=host)) is not None:
        if rival.expires_at > first.expires_at + timedelta(milliseconds=1):
            raise SettingsError([f"database_url: {rival.host} works on this SQLite file, too. {ADVICE}"])
        pause.wait(LOOK_AGAIN_SECONDS)
