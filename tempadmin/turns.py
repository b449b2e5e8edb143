"""Whose turn it is to write: SQLite has one writer at a time, and nobody queues for it.

Whoever finds it taken sleeps longer each time, up to 100 ms, while it may be free again after one: with eight people at
work it lay idle for a third of the time (`make bench`). So the threads of a process queue here, and the first of each
process looks often.
"""

from __future__ import annotations

import sqlite3
from threading import Event, Lock

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tempadmin.clock import steady_seconds

BEGIN, UNTIL = "BEGIN IMMEDIATE", "until"
LONGEST_SECONDS = 5
SHORTEST_PAUSE, LONGEST_PAUSE = 0.0002, 0.002


class Turns:
    """The queue of one process; a context manager that waits for one's turn, and gives until when to wait further.

    Parameters
    ----------
    longest
        Seconds that a wait may last.

    Raises
    ------
    TimeoutError
        SQLAlchemy's: when one's turn does not come in time.
    """

    def __init__(self, longest: float = LONGEST_SECONDS) -> None:
        self._lock, self._longest = Lock(), longest

    def __enter__(self) -> float:
        """Wait for one's turn; return until when, in ``steady_seconds()``, the wait may last in all."""
        until = steady_seconds() + self._longest
        if not self._lock.acquire(timeout=self._longest):
            raise PoolTimeoutError("the database is locked")
        return until

    def __exit__(self, *_error: object) -> None:
        """Let the next one write."""
        self._lock.release()


def begin_to_write(connection: Connection) -> None:
    """Take SQLite's writer's lock, looking for it often; in the end as SQLite itself would."""
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    until = connection.get_execution_options().get(UNTIL, steady_seconds() + LONGEST_SECONDS)
    pause = SHORTEST_PAUSE
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while steady_seconds() < until:
            try:
                driver.execute(BEGIN)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
                Event().wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return
        connection.exec_driver_sql(BEGIN)  # whose error is one that everybody here knows
    finally:
        driver.execute(f"PRAGMA busy_timeout = {1000 * LONGEST_SECONDS}")
