"""Crontab expressions for APScheduler, with the weekdays that crontab(5) means.

``CronTrigger.from_crontab`` counts weekdays from Monday, crontab(5) from Sunday: ``0 3 * * 1`` would run on Tuesdays
(measured). So numbers in the fifth field are replaced by names before APScheduler reads them.
"""

from __future__ import annotations

import re
from datetime import UTC

from apscheduler.triggers.cron import CronTrigger

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
FIELDS = 5


def cron_trigger(expression: str) -> CronTrigger:
    """Return the trigger of a five-field crontab expression, in UTC.

    Raises
    ------
    ValueError
        When the expression is not one; the text says why.
    """
    fields = expression.split()
    if len(fields) != FIELDS:
        raise ValueError(f"a crontab expression has five fields (minute hour day month weekday), not {len(fields)}")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError("give a day of the month or a weekday, not both: crontab(5) runs when either matches")
    return CronTrigger(
        minute=minute, hour=hour, day=day, month=month, day_of_week=_named_weekdays(weekday), timezone=UTC
    )


def _named_weekdays(field: str) -> str:
    """Turn ``0``, ``1-5``, ``5-7`` or ``*/2`` into lists of names, which mean the same to both."""
    if field == "*":
        return field
    names: list[str] = []
    for part in field.split(","):
        found = re.fullmatch(r"(?:(\*)|([0-7])(?:-([0-7]))?)(?:/([1-7]))?", part)
        if found is None:
            names.append(part.lower())
            continue
        star, first, last, step = found.groups()
        start = 0 if star else int(first)
        stop = 6 if star else int(last or (7 if step else first))
        if stop < start:
            raise ValueError(f"the weekdays {part!r} run backwards")
        names += [WEEKDAYS[number] for number in range(start, stop + 1, int(step or 1))]
    return ",".join(dict.fromkeys(names))
