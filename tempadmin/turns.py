"""Whose turn it is to write: SQLite has one writer at a time, and nobody queues for it.

Whoever finds it taken sleeps longer each time, up to 100 ms, while it may be free again after one: with eight people at
work it lay idle for a third of the time (`make bench`). So the threads of a process queue here, and the first of each
process is told by whoever of another worker is done, or else looks often. Nobody's word is needed to go on: a worker
that dies, or is stopped, tells nobody anything.
"""

from __future__ import annotations

import os
import select
import sqlite3
from contextlib import suppress
from threading import Event, Lock
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tempadmin.clock import steady_seconds

BEGIN, QUEUE, UNTIL = "BEGIN IMMEDIATE", "queue", "until"
LONGEST_SECONDS = 5
SHORTEST_PAUSE, LONGEST_PAUSE = 0.0002, 0.002
HEARD_PAUSE = 0.02
"""How long, in seconds, one listens before one looks all the same."""


class Turns:
    """The queue of one process; a context manager that waits for one's turn.

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
        self._told: tuple[int, int] | None = None

    def share(self) -> None:
        """Let the workers that are forked from here on tell each other; kept as long as the process lives."""
        self._told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, seconds: float) -> None:
        """Wait until another worker is done, if that can be heard of, and in any case no longer than this."""
        if self._told is None:
            Event().wait(seconds)
            return
        heard = select.poll()
        heard.register(self._told[0], select.POLLIN)
        if heard.poll(1000 * HEARD_PAUSE):
            with suppress(BlockingIOError):  # the worker beside was faster
                os.read(self._told[0], 1000)

    def __enter__(self) -> dict[str, Any]:
        """Wait for one's turn; return the options of the connection that then takes the lock."""
        until = steady_seconds() + self._longest
        if not self._lock.acquire(timeout=self._longest):
            raise PoolTimeoutError("the database is locked")
        return {QUEUE: self, UNTIL: until}

    def __exit__(self, *_error: object) -> None:
        """Let the next one write."""
        if self._told is not None:
            with suppress(BlockingIOError):  # full of words that nobody waited for
                os.write(self._told[1], b"!")
        self._lock.release()


def begin_to_write(connection: Connection) -> None:
    """Take SQLite's writer's lock, waiting as ``Turns`` does; in the end as SQLite itself would."""
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    options = connection.get_execution_options()
    until, turns = options.get(UNTIL, steady_seconds() + LONGEST_SECONDS), options.get(QUEUE) or Turns()
    pause = SHORTEST_PAUSE
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while steady_seconds() < until:
            try:
                driver.execute(BEGIN)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
                turns.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return
        connection.exec_driver_sql(BEGIN)  # whose error is one that everybody here knows
    finally:
        driver.execute(f"PRAGMA busy_timeout = {1000 * LONGEST_SECONDS}")
