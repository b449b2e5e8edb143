"""Ending the sessions of a role: all of them, looked for again until none is left.

A session that is being opened when its role is shut stands in no list yet. Its user can keep it there for half an hour
(``post_auth_delay``, which anybody may set), and it lives on when the role is dropped meanwhile: seen. What gives it
away is the lock that every session holds on its database until it is open.
"""

from __future__ import annotations

from threading import Event
from time import monotonic

from psycopg import sql

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.line import Line

PATIENCE = 2.0
"""Seconds in which a session ends that was told to."""

WHAT = "the account's sessions could not be ended"

# Read before the list of sessions: one that is open by then stands in that list.
OPENING = """
    SELECT array_agg(pid) FROM pg_catalog.pg_locks
    WHERE locktype = 'object' AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass
      AND mode = 'RowExclusiveLock' AND pid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
"""
OPEN = """
    SELECT pid FROM pg_catalog.pg_stat_activity
    WHERE pid = ANY(%s) AND (usesysid IS NOT NULL OR backend_type <> 'client backend')
"""
END = sql.SQL("""
    SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE usesysid = {} AND pid <> pg_catalog.pg_backend_pid()
""")
LEFT = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usesysid = %s"


def end(line: Line, oid: int, *, opening_too: bool = False) -> None:
    """End every session of a role, and wait until it is gone; the role may be dropped already.

    Parameters
    ----------
    opening_too
        Wait, too, until no session is being opened that could be one of the role's.

    Raises
    ------
    ConnectorError
        When one is left: it is told to end already, or not open yet; or when we may not end it, for good.
    """
    deadline, pause = monotonic() + PATIENCE, 0.001
    while True:
        # Which role a session that is being opened belongs to, nobody can tell.
        opening = _opening(line) if opening_too else 0
        ending = line.ask(END.format(sql.Literal(oid)), what=WHAT, grant=f"GRANT pg_signal_backend TO {line.to.user}")
        if not ending and not opening:
            return
        if monotonic() > deadline:
            left = f"{len(ending)} are still there" if ending else f"{opening} are being opened on the server"
            raise ConnectorError(f"{WHAT}: {left}")
        Event().wait(pause)
        pause = min(2 * pause, 0.05)


def any_left(line: Line, oid: int) -> bool:
    """Tell whether a session of a role is there, dropped or not."""
    return bool(line.ask(LEFT, (oid,), what="the sessions could not be read"))


def _opening(line: Line) -> int:
    ((pids,),) = line.ask(OPENING, what=WHAT)
    return len(pids) - len(line.ask(OPEN, (pids,), what=WHAT)) if pids else 0
