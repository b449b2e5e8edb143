"""One time for all machines: each process takes its time from the PostgreSQL that they share.

The database is asked on a connection that begins a transaction anyway, before any lock is held: no thread, no
connection of its own, and nothing to start after a fork.
"""

from __future__ import annotations

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection

from tempadmin.clock import MOST_SKEW, DatabaseClock, steady_seconds

COMPLAIN_AGAIN_SECONDS = 60.0

log = structlog.get_logger()


def synchronise(engine: Engine, clock: DatabaseClock) -> None:
    """Keep the clock at the database's time; a machine whose own clock is wrong is named in the log once a minute."""
    complained = float("-inf")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        nonlocal complained
        if not clock.is_due():
            return
        asked = steady_seconds()
        moment = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        clock.take(moment, asked=asked, answered=steady_seconds())
        skew = clock.skew
        if abs(skew) > MOST_SKEW and steady_seconds() - complained > COMPLAIN_AGAIN_SECONDS:
            complained = steady_seconds()
            log.warning("clock.skew", seconds_ahead_of_database=round(skew.total_seconds(), 1))
