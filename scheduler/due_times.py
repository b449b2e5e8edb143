"""Due times follow from a job's schedule and the clock alone, so all processes agree and missed ones coalesce."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from tempadmin.clock import Clock, DatabaseClock
from tempadmin.crontab import cron_trigger
from tempadmin.web.words import duration

Schedule = timedelta | str

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
DAILY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* \*")


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """Return the first due time later than ``after`` (UTC).

    Intervals are counted from 1970 on and not from the start of a process.

    Raises
    ------
    ValueError
        When the schedule is nonsense, or never comes (the 30th of February).
    """
    # A trigger takes a moment that is due as its own answer; one instant later it is the next one's turn.
    found: datetime | None = _trigger(schedule).get_next_fire_time(None, after + INSTANT)
    if found is None:
        raise ValueError(f"the schedule {schedule!r} never comes")
    return found.astimezone(UTC)


def in_words(schedule: Schedule) -> str:
    """Say a schedule: ``every 10 s``, ``every hour``, ``every day at 03:00 UTC``, or the expression itself."""
    if isinstance(schedule, timedelta):
        return "every hour" if schedule == timedelta(hours=1) else f"every {duration(schedule)}"
    daily = DAILY.fullmatch(" ".join(schedule.split()))
    if daily is None:
        return f"{schedule} (UTC)"
    return f"every day at {int(daily[2]):02}:{int(daily[1]):02} UTC"


class DueTimes(BaseTrigger):
    """Fires at a schedule's due times and, unlike APScheduler's own, finds back to them after being woken between.

    Parameters
    ----------
    clock
        The one that due times follow. APScheduler knows the machine's alone, so it is told them in that one's terms.
    """

    def __init__(self, schedule: Schedule, clock: Clock | None = None) -> None:
        self._schedule, self._clock = schedule, clock

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """Return the next due time; what fired before counts for nothing."""
        skew = self._clock.skew if isinstance(self._clock, DatabaseClock) else timedelta(0)
        return next_due(self._schedule, now - skew) + skew


@cache
def _trigger(schedule: Schedule) -> BaseTrigger:
    if isinstance(schedule, str):
        return cron_trigger(schedule)
    if schedule < timedelta(seconds=1):
        raise ValueError("a job's interval is one second or more")
    return IntervalTrigger(seconds=schedule.total_seconds(), start_date=LONG_AGO, timezone=UTC)
