"""Time as an argument: use cases ask a clock that they are given, so tests can pass any time in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MOST_SKEW = timedelta(seconds=2)
"""A machine that is further from the database's time than this is told so."""
READ_AGAIN_SECONDS = 5.0
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while a machine sleeps, and nobody can set it."""


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware and in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present moment, aware and in UTC."""
        return datetime.now(UTC)


class DatabaseClock:
    """The database's clock: one for all machines, whatever theirs are set to.

    A reading of it is carried on by this machine's steady clock, which no setting of the wall clock touches, so asking
    for the time costs nothing and may be done under any lock. ``tempadmin.synchronise`` hands in a new reading every
    five seconds of use. Before the very first one, which the first transaction of a process makes, this is the
    machine's own clock.

    Parameters
    ----------
    machine
        The wall clock of this machine.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self.machine: Clock = machine or SystemClock()
        self._reading: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the database's present moment, aware and in UTC."""
        return self._at(steady_seconds()) or self.machine.now()

    @property
    def skew(self) -> timedelta:
        """How far this machine's wall clock is ahead of the database's."""
        return self.machine.now() - self.now()

    def is_due(self) -> bool:
        """Tell whether a new reading is wanted."""
        return self._age() > READ_AGAIN_SECONDS

    def take(self, moment: datetime, *, asked: float, answered: float) -> None:
        """Take a reading in.

        Parameters
        ----------
        moment
            What the database said, at some time between the other two.
        asked, answered
            ``steady_seconds()`` before and after.
        """
        # When the answer came the database's time lay between these. A quick answer leaves no choice; a slow one
        # (a stopped process, a clogged line) must not undo what quicker ones told.
        earliest = moment.astimezone(UTC)
        latest = earliest + timedelta(seconds=answered - asked)
        known = self._at(answered) or earliest + (latest - earliest) / 2
        self._reading = (min(max(known, earliest), latest), answered)

    def _at(self, steady: float) -> datetime | None:
        reading = self._reading  # both halves of one: another thread may take a new one in meanwhile
        return None if reading is None else reading[0] + timedelta(seconds=steady - reading[1])

    def _age(self) -> float:
        reading = self._reading
        return float("inf") if reading is None else steady_seconds() - reading[1]


def steady_seconds() -> float:
    """Return seconds since some fixed moment, on a clock that nobody can set."""
    return time.clock_gettime(STEADY)
