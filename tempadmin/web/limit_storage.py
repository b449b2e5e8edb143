"""Where changes are counted: in a worker's memory, in the PostgreSQL that several machines share, or in their Redis.

Each counts in fixed windows that begin with an address's first change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, Text, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.clock import steady_seconds
from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

WINDOW_SECONDS = 60
REDIS_SECONDS = 1
"""A Redis that does not answer is not waited for longer."""

# One statement, one round trip. No request waits for a disk here: a crash may forget the last counts, and no more.
_COUNT = text("""
    WITH quick AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO limit_counters AS present (key, count, expires_at)
    SELECT :key, :amount, statement_timestamp() + make_interval(secs => :seconds) FROM quick
    ON CONFLICT (key) DO UPDATE SET
        count = excluded.count + CASE WHEN present.expires_at > statement_timestamp() THEN present.count ELSE 0 END,
        expires_at = CASE WHEN present.expires_at > statement_timestamp()
            THEN present.expires_at ELSE excluded.expires_at END
    RETURNING count""")


class LimitCounter(Base):
    """How often something was done in a window of time that ends at ``expires_at``; housekeeping removes old ones."""

    __tablename__ = "limit_counters"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class InMemory:
    """Counts for one worker, by a clock of seconds that nobody sets."""

    def __init__(self, seconds: Callable[[], float] = steady_seconds) -> None:
        self._seconds, self._lock = seconds, threading.Lock()
        self._counts: dict[str, tuple[float, int]] = {}
        self._tidy_at = 0.0

    def count(self, key: str, amount: int = 1) -> int:
        """Count so many; return what was counted in the present window."""
        now = self._seconds()
        with self._lock:
            if now >= self._tidy_at:  # or it would remember every address that ever came
                self._counts = {one: kept for one, kept in self._counts.items() if kept[0] > now}
                self._tidy_at = now + WINDOW_SECONDS
            ends_at, before = self._counts.get(key, (0.0, 0))
            if ends_at <= now:
                ends_at, before = now + WINDOW_SECONDS, 0
            self._counts[key] = ends_at, before + amount
            return before + amount


class InDatabase:
    """Counts by PostgreSQL's clock, each count a short transaction of its own.

    Parameters
    ----------
    engine
        The application's own; a connection is borrowed for one statement.
    """

    away = SQLAlchemyError

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, key: str, amount: int = 1) -> int:
        """Count so many; return what was counted in the present window."""
        given = {"key": key, "seconds": WINDOW_SECONDS, "amount": amount}
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return int(connection.execute(_COUNT, given).scalar_one())


class InRedis:
    """Counts in Redis, which forgets a window by itself."""

    def __init__(self, url: str) -> None:
        # An installation without `rate_limit_url` may lack it.
        from redis import Redis, RedisError  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self.away = RedisError
        self._redis = Redis.from_url(
            url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS, retry=Retry(NoBackoff(), 0)
        )

    def count(self, key: str, amount: int = 1) -> int:
        """Count so many; return what was counted in the present window."""
        name = f"tempadmin/changes/{key}"
        with self._redis.pipeline(transaction=True) as both:
            both.set(name, 0, ex=WINDOW_SECONDS, nx=True)
            both.incrby(name, amount)
            return int(both.execute()[1])
