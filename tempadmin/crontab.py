"""Crontab expressions for APScheduler, with the weekdays that crontab(5) means, and nothing that it does not know.

``CronTrigger.from_crontab`` counts weekdays from Monday, crontab(5) from Sunday: ``0 3 * * 1`` would run on Tuesdays
(measured). So numbers in the fifth field are replaced by names before APScheduler reads them. It also overlooks what
follows a name (``mon/2`` is Monday to it) and takes digits of any script, so each part is judged here first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from apscheduler.triggers.cron import CronTrigger

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
FIELDS = 5
NUMBERS = re.compile(r"\*(?:/[0-9]+)?|[0-9]+(?:-[0-9]+)?(?:/[0-9]+)?")
NAMES = re.compile(r"[a-z]{3}(?:-[a-z]{3})?", re.IGNORECASE | re.ASCII)
FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def cron_trigger(expression: str) -> CronTrigger:
    """Return the trigger of a five-field crontab expression, in UTC.

    Raises
    ------
    ValueError
        When the expression is not one, or never comes (the 30th of February); the text says why.
    """
    fields = expression.split()
    if len(fields) != FIELDS:
        raise ValueError(f"a crontab expression has five fields (minute hour day month weekday), not {len(fields)}")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError("give a day of the month or a weekday, not both: crontab(5) runs when either matches")
    for field, named in ((minute, False), (hour, False), (day, False), (month, True)):
        for part in field.split(","):
            if not (NUMBERS.fullmatch(part) or (named and NAMES.fullmatch(part))):
                raise ValueError(f"{part!r} is nothing that crontab(5) knows")
    trigger = CronTrigger(
        minute=minute, hour=hour, day=day, month=month, day_of_week=_named_weekdays(weekday), timezone=UTC
    )
    if trigger.get_next_fire_time(None, FIRST_MOMENT) is None:
        raise ValueError(f"{expression!r} never comes")
    return trigger


def _named_weekdays(field: str) -> str:
    """Turn ``0``, ``1-5``, ``5-7`` or ``*/2`` into lists of names, which mean the same to both."""
    if field == "*":
        return field
    names: list[str] = []
    for part in field.split(","):
        found = re.fullmatch(r"(?:(\*)|([0-7])(?:-([0-7]))?)(?:/([1-7]))?", part)
        if found is None:
            if not NAMES.fullmatch(part):
                raise ValueError(f"{part!r} is no weekday: give 0 to 7 (0 and 7 are Sunday), or sun to sat")
            names.append(part.lower())
            continue
        star, first, last, step = found.groups()
        start = 0 if star else int(first)
        stop = 6 if star else int(last or (7 if step else first))
        if stop < start:
            raise ValueError(f"the weekdays {part!r} run backwards")
        names += [WEEKDAYS[number] for number in range(start, stop + 1, int(step or 1))]
    return ",".join(dict.fromkeys(names))
