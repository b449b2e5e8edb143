"""Back-off after wrong answers, counted in the database so that it holds over all workers (S12).

The fifth wrong answer in a row blocks for 30 s; each further one doubles that, up to an hour. Only a right answer
starts again from nothing: never a new ticket, a new session or a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tempadmin.accounts.models import Throttle
from tempadmin.db import lock_or_make, transaction
from tempadmin.errors import RateLimited
from tempadmin.runtime import Runtime
from tempadmin.web import words

FREE_TRIES = 5
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


def locked_all(*keys: str, now: datetime) -> list[Throttle]:
    """Return the keys' rows in their order, made where missing, locked by ascending key until the transaction ends."""
    rows = {key: lock_or_make(Throttle, key, failures=0, updated_at=now) for key in sorted(keys)}
    return [rows[key] for key in keys]


def refuse_while_blocked(row: Throttle, *, now: datetime) -> None:
    """Raise ``RateLimited`` while the pause lasts; a try during the pause is not judged and not counted."""
    if row.blocked_until is not None and now < row.blocked_until:
        left = int((row.blocked_until - now).total_seconds()) + 1
        raise RateLimited(f"Too many wrong answers. Try again in {left} s.", retry_after=left)


def count_wrong(row: Throttle, *, now: datetime, free_tries: int = FREE_TRIES) -> None:
    """Count a wrong answer and start the pause that it earns."""
    row.failures += 1
    row.updated_at = now
    if row.failures >= free_tries:
        doubled = min(row.failures - free_tries, 12)
        row.blocked_until = now + min(FIRST_PAUSE * 2**doubled, LONGEST_PAUSE)


def count_towards(row: Throttle, *, now: datetime, most: int, within: timedelta, what: str) -> None:
    """Count what is no guess but must not be flooded: so many within a time that begins with the first of them.

    Raises
    ------
    RateLimited
        When there were ``most`` already; it says when to try again.
    """
    if row.blocked_until is None or now >= row.blocked_until:  # here: when the counting begins anew
        row.failures, row.blocked_until = 0, now + within
    if row.failures >= most:
        left = int((row.blocked_until - now).total_seconds()) + 1
        raise RateLimited(f"{most} {what} already. Try again in {words.duration(left)}.", retry_after=left)
    row.failures += 1
    row.updated_at = now


def forget(row: Throttle, *, now: datetime) -> None:
    """Start again from nothing after a right answer."""
    row.failures, row.blocked_until, row.updated_at = 0, None, now


def forgive(*keys: str, runtime: Runtime) -> None:
    """Forget the wrong answers under these keys in a transaction of its own: a right one was given."""
    with transaction():
        for row in locked_all(*keys, now=runtime.now()):
            forget(row, now=runtime.now())
