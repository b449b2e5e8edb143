"""Back-off after wrong answers, counted in the database so that it holds over all workers (S12).

The fifth wrong answer in a row blocks for 30 s; each further one doubles that, up to an hour. Only a right answer
starts again from nothing: never a new ticket, a new session or a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import Table, bindparam, update

from tempadmin.accounts.models import Throttle
from tempadmin.db import db, run, transaction
from tempadmin.engine import insert_for
from tempadmin.errors import RateLimited
from tempadmin.runtime import Runtime
from tempadmin.web import words

FREE_TRIES = 5
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)

_COUNTS = cast(Table, Throttle.__table__)


def _locking(insert: Any) -> Any:
    """Build the statement that makes a missing row and locks it, so that no rival can make or delete it halfway."""
    new = insert(_COUNTS).values(key=bindparam("counted"), failures=0, updated_at=bindparam("now"))
    # An UPDATE of the key to itself changes nothing, and locks.
    locked = new.on_conflict_do_update(index_elements=["key"], set_={"key": new.excluded.key})
    return locked.returning(_COUNTS.c.key, _COUNTS.c.failures, _COUNTS.c.blocked_until)


# Built once: each sign-in and each second factor is counted.
LOCK = cache(lambda dialect: _locking(insert_for(dialect)))
KEEP = (
    update(_COUNTS)
    .where(_COUNTS.c.key == bindparam("counted"))
    .values(failures=bindparam("count"), blocked_until=bindparam("until"), updated_at=bindparam("now"))
)


@dataclass
class Count:
    """What is counted under one key, as its locked row has it."""

    key: str
    failures: int
    blocked_until: datetime | None

    def keep(self, *, now: datetime) -> None:
        """Write what it is now to its row."""
        run(KEEP, {"counted": self.key, "count": self.failures, "until": self.blocked_until, "now": now})


def locked_all(*keys: str, now: datetime) -> list[Count]:
    """Return the keys' counts in their order, made where missing, locked by ascending key until the commit."""
    statement = LOCK(db.session.get_bind().dialect.name)
    rows = {key: Count(**run(statement, {"counted": key, "now": now}).mappings().one()) for key in sorted(keys)}
    return [rows[key] for key in keys]


def refuse_while_blocked(row: Count, *, now: datetime) -> None:
    """Raise ``RateLimited`` while the pause lasts; a try during the pause is not judged and not counted."""
    if row.blocked_until is not None and now < row.blocked_until:
        left = int((row.blocked_until - now).total_seconds()) + 1
        raise RateLimited(f"Too many wrong answers. Try again in {left} s.", retry_after=left)


def count_wrong(row: Count, *, now: datetime, free_tries: int = FREE_TRIES) -> None:
    """Count a wrong answer and start the pause that it earns."""
    row.failures += 1
    if row.failures >= free_tries:
        doubled = min(row.failures - free_tries, 12)
        row.blocked_until = now + min(FIRST_PAUSE * 2**doubled, LONGEST_PAUSE)
    row.keep(now=now)


def count_towards(row: Count, *, now: datetime, most: int, within: timedelta, what: str) -> None:
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
    row.keep(now=now)


def forget(row: Count, *, now: datetime) -> None:
    """Start again from nothing after a right answer."""
    if row.failures or row.blocked_until is not None:
        row.failures, row.blocked_until = 0, None
        row.keep(now=now)


def forgive(*keys: str, runtime: Runtime) -> None:
    """Forget the wrong answers under these keys in a transaction of its own: a right one was given."""
    with transaction():
        for row in locked_all(*keys, now=runtime.now()):
            forget(row, now=runtime.now())
