"""How each database's engine is set up: what it waits for, and what SQLite needs to be told.

Nothing waits for ever, so that a request is answered, by 503 at worst, and locks are not kept by whoever is gone.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from tempadmin.clock import steady_seconds
from tempadmin.turns import begin_to_write

LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 30
STOPPED_TOO_LONG = "25P03"
NO_MERGES = "-c enable_mergejoin=off"
"""All is found by keys here. A merge of two tables reads one of them up to the newest account, and is planned by
statistics that do not know of that one yet: every page of whoever is inside read all 6,000 accounts (measured)."""
SNAPSHOT: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "sqlite": {},
}
ASK_AFTER_SECONDS = 1.0
"""A connection that was of use so lately is not asked whether it lives, unless its server said something meanwhile."""

READING: dict[str, dict[str, Any]] = {"postgresql": {"isolation_level": "AUTOCOMMIT"}, "sqlite": {}}
"""Under READ COMMITTED each statement sees its own moment anyway: BEGIN and ROLLBACK around reads only cost ways."""
WRITING: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "READ COMMITTED", "write": True},
    "sqlite": {"write": True},
}


def engine_options(url: str) -> dict[str, Any]:
    """Return what SQLAlchemy's engine needs for this database; its errors never repeat values (P12)."""
    if url.startswith("sqlite"):
        return {
            "connect_args": {"timeout": LOCK_TIMEOUT_SECONDS},
            "hide_parameters": True,
            "pool_use_lifo": True,  # those of quiet times stay few, each with statements and pages of its own
            "pool_timeout": LOCK_TIMEOUT_SECONDS,
        }
    limits = {
        "lock_timeout": LOCK_TIMEOUT_SECONDS,
        "statement_timeout": STATEMENT_TIMEOUT_SECONDS,
        # A process that is stopped in the middle keeps its locks no longer than this.
        "idle_in_transaction_session_timeout": 2 * STATEMENT_TIMEOUT_SECONDS,
    }
    return {
        "connect_args": {
            "options": " ".join([NO_MERGES, *(f"-c {name}={seconds}s" for name, seconds in limits.items())]),
            # Without these a server that swallows packets, or went away with its machine, holds a request for minutes.
            "connect_timeout": LOCK_TIMEOUT_SECONDS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 1000 * STATEMENT_TIMEOUT_SECONDS,
        },
        "hide_parameters": True,
        "pool_timeout": LOCK_TIMEOUT_SECONDS,
        "pool_size": 5,
        "pool_use_lifo": True,
        "max_overflow": 10,
    }


def insert_for(dialect: str) -> Callable[..., Any]:
    """Return a dialect's own INSERT, which can say what to do with a row that is there already."""
    # PostgreSQL's dialect is a fourteenth of what there is to import, and nothing on SQLite needs it.
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415

        return insert
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415

    return sqlite_insert


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def prepare_postgresql(engine: Engine) -> None:
    """Use no connection that died while it lay idle, and know one whose process was stopped in a transaction."""

    @event.listens_for(engine, "checkin")
    def _on_checkin(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["left_at"] = steady_seconds()

    driver_error = engine.dialect.loaded_dbapi.Error

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        idle = steady_seconds() - record.info.get("left_at", steady_seconds())
        if idle < ASK_AFTER_SECONDS and not _has_word(connection):
            return
        try:
            engine.dialect.do_ping(connection)
        except driver_error as error:
            if not engine.dialect.is_disconnect(error, connection, None):
                raise
            raise InvalidatePoolError from error  # the others, left at the same time, are as dead

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        # To the driver this is an "internal error", and the connection as good as any (measured).
        if getattr(context.original_exception, "sqlstate", None) == STOPPED_TOO_LONG:
            context.is_disconnect = True


def _has_word(connection: Any) -> bool:
    """Tell whether a server that was asked nothing said something: mostly that it goes. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def prepare_sqlite(engine: Engine) -> None:
    """Begin where we say so, take the writer's lock at once where we write, lose nothing that was committed."""

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and too late
        # The built-in one knows ASCII only: "ørsted" would not find "Ørsted".
        connection.create_function("lower", 1, _lower, deterministic=True)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write", False):
            begin_to_write(connection)
        else:
            connection.exec_driver_sql("BEGIN")
