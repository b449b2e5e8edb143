"""Time as an argument: use cases ask a clock that they are given, so tests can pass any time in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MOST_SKEW = timedelta(seconds=2)
"""A machine that is further from the database's time than this is told so."""
READ_AGAIN_SECONDS = 5.0
SLOW_SECONDS, STALE_SECONDS = 1.0, 60.0
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
        reading = self._reading
        if reading is None:
            return self.machine.now()
        moment, steady = reading
        return moment + timedelta(seconds=steady_seconds() - steady)

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
            What the database said; it said so at some time between the other two, so half of that time is the error.
        asked, answered
            ``steady_seconds()`` before and after.
        """
        # A process that was stopped between question and answer knows the time worse than from its last reading.
        if answered - asked <= SLOW_SECONDS or self._age() > STALE_SECONDS:
            self._reading = (moment.astimezone(UTC), (asked + answered) / 2)

    def _age(self) -> float:
        return float("inf") if self._reading is None else steady_seconds() - self._reading[1]


def steady_seconds() -> float:
    """Return seconds since some fixed moment, on a clock that nobody can set."""
    return time.clock_gettime(STEADY)
