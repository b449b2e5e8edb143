"""Ending the sessions of a role: all of them, looked for again until none is left.

A session that is being opened when its role is shut stands in no list yet. Its user can keep it there for half an hour
(``post_auth_delay``, which anybody may set), and it lives on when the role is dropped meanwhile: seen. What gives it
away is the lock that every session holds on its database until it is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event
from time import monotonic

from psycopg import sql

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.line import Line, Rows, literal, written

PATIENCE = 2.0
"""Seconds in which a session ends that was told to."""

WHAT = "the account's sessions could not be ended"

# Read before the list of sessions: one that is open by then stands in that list.
OPENING = sql.SQL("""
    SELECT pid FROM pg_catalog.pg_locks
    WHERE locktype = 'object' AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass
      AND mode = 'RowExclusiveLock' AND pid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
""")
OPEN = """
    SELECT pid FROM pg_catalog.pg_stat_activity
    WHERE pid = ANY(%s) AND (usesysid IS NOT NULL OR backend_type <> 'client backend')
"""
LEFT = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usesysid = %s"


def told_to_end(oid: int) -> sql.Composable:
    """Return the statement that tells every session of a role to end, and names those that there are."""
    return sql.SQL("""
        SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE usesysid = {} AND pid <> pg_catalog.pg_backend_pid()
    """).format(literal(oid))


def may(line: Line) -> str:
    """Say what to grant where sessions may not be ended."""
    return f"GRANT pg_signal_backend TO {written(line.to.user)}"


def end(line: Line, oid: int, *, opening: Iterable[int] = ()) -> None:
    """End every session of a role, and wait until it is gone; the role may be dropped already.

    Parameters
    ----------
    opening
        Sessions that were being opened when the role was shut already: until these are open, or not there any more, is
        waited, too. Which role such a session belongs to, nobody can tell; those that came later are not the role's.

    Raises
    ------
    ConnectorError
        When one is left: it is told to end already, or not open yet; or when we may not end it, for good.
    """
    deadline, pause, waited_for = monotonic() + PATIENCE, 0.001, set(opening)
    while True:
        there, ending = line.send(OPENING, told_to_end(oid), what=WHAT, grant=may(line))
        waited_for &= not_open(line, there)
        if not ending and not waited_for:
            return
        if monotonic() > deadline:
            left = f"{len(ending)} are still there" if ending else f"{len(waited_for)} are being opened on the server"
            raise ConnectorError(f"{WHAT}: {left}")
        Event().wait(pause)
        pause = min(2 * pause, 0.05)


def not_open(line: Line, opening: Rows) -> set[int]:
    """Return those of the sessions that were being opened that no list of sessions has yet."""
    pids = {pid for (pid,) in opening}
    return pids - {pid for (pid,) in line.ask(OPEN, (list(pids),), what=WHAT)} if pids else pids


def any_left(line: Line, oid: int) -> bool:
    """Tell whether a session of a role is there, dropped or not."""
    return bool(line.ask(LEFT, (oid,), what="the sessions could not be read"))
