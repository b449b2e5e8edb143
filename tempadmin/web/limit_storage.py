"""Where Flask-Limiter counts when several machines serve: in the PostgreSQL that they share."""

from __future__ import annotations

from datetime import datetime

from limits.storage import Storage
from sqlalchemy import Connection, Engine, Text, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

SCHEME = "tempadmin"

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
_COUNTED = text("SELECT count FROM limit_counters WHERE key = :key AND expires_at > statement_timestamp()")
_EXPIRY = text("SELECT extract(epoch FROM expires_at) FROM limit_counters WHERE key = :key")
_FORGET = text("DELETE FROM limit_counters WHERE key = :key")
_FORGET_ALL = text("DELETE FROM limit_counters")


class LimitCounter(Base):
    """How often something was done in a window of time that ends at ``expires_at``; housekeeping removes old ones."""

    __tablename__ = "limit_counters"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DatabaseStorage(Storage):
    """Fixed windows, counted by the database's clock, each count a short transaction of its own.

    Parameters
    ----------
    engine
        The application's own; a connection is borrowed for one statement.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the base class's word for it

    def __init__(self, uri: str | None = None, *, engine: Engine) -> None:
        super().__init__(uri)
        self._engine = engine

    @property
    def base_exceptions(self) -> type[Exception]:
        """What goes wrong when the database is away; Flask-Limiter then counts in memory for a while."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, in a new window of ``expiry`` seconds when the last one is over; return what was counted in it."""
        with self._connection() as connection:
            return int(connection.execute(_COUNT, {"key": key, "seconds": expiry, "amount": amount}).scalar_one())

    def get(self, key: str) -> int:
        """Return what was counted in the present window."""
        with self._connection() as connection:
            return int(connection.scalar(_COUNTED, {"key": key}) or 0)

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since 1970."""
        with self._connection() as connection:
            return float(connection.scalar(_EXPIRY, {"key": key}) or 0)

    def check(self) -> bool:
        """Tell whether the database can be asked again."""
        try:
            self.get("")
        except SQLAlchemyError:
            return False
        return True

    def reset(self) -> int | None:
        """Forget everything."""
        with self._connection() as connection:
            return connection.execute(_FORGET_ALL).rowcount

    def clear(self, key: str) -> None:
        """Forget one count."""
        with self._connection() as connection:
            connection.execute(_FORGET, {"key": key})

    def _connection(self) -> Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
