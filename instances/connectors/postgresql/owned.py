"""What a role has, in every database of its server: told in words, and handed over before the role goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from psycopg import sql

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.line import Line, Rows, literal, named, written

TOLD = 20
"""How many things are named at most."""
LONGEST = 200
WHAT = "what the account owns could not be read"

PLACES = sql.SQL("""
    SELECT d.dbid::bigint, b.datname, d.owned
    FROM (
        SELECT dbid, count(*) FILTER (WHERE deptype = 'o') AS owned FROM pg_catalog.pg_shdepend
        WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = {} GROUP BY dbid
    ) d LEFT JOIN pg_catalog.pg_database b ON b.oid = d.dbid
    ORDER BY b.datname NULLS FIRST
""")
PREPARED = sql.SQL("""
    SELECT gid, database FROM pg_catalog.pg_prepared_xacts
    WHERE owner = (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = {})
""")
THINGS = """
    SELECT pg_catalog.pg_describe_object(classid, objid, objsubid), EXISTS (
        SELECT 1 FROM pg_catalog.pg_proc p
        WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = objid AND p.prosecdef
    )
    FROM pg_catalog.pg_shdepend
    WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = %s AND deptype = 'o' AND dbid = %s
    ORDER BY classid, objid LIMIT %s
"""


class _Place(NamedTuple):
    """A database in which a role has something."""

    id: int
    """0 for what belongs to the whole server."""
    database: str | None
    owned: int


def told(line: Line, oid: int) -> Sequence[str]:
    """Return what a role owns, in words: at most ``TOLD`` things, and how many more there are."""
    words: list[str] = []
    more = 0
    for place in map(_Place._make, line.ask(PLACES.format(literal(oid)), what=WHAT)):
        most = TOLD - len(words)
        words += _words(line, oid, place, most) if place.owned and most else []
        more += max(0, place.owned - most)
    return [*words, f"and {more} more"] if more else words


def read(oid: int) -> tuple[sql.Composable, sql.Composable]:
    """Return the statements that read what ``hand_over`` needs to know."""
    return PREPARED.format(literal(oid)), PLACES.format(literal(oid))


def hand_over(line: Line, name: str, prepared: Rows, places: Rows) -> None:
    """Give what a role owns to its new owner, and take the rights that it was granted, in one database after the other.

    Raises
    ------
    ConnectorError
        When a database cannot be reached, somebody holds a lock, or we may not; what was handed over stays so.
    """
    owner = line.to.reassign_to
    for transaction, database in prepared:
        with _within(line, _Place(0, database, 0)) as there:
            _roll_back(there, name, transaction)
    for place in map(_Place._make, places):
        with _within(line, place) as there:
            there.send(
                sql.SQL("REASSIGN OWNED BY {} TO {}").format(named(name), named(owner)),
                sql.SQL("DROP OWNED BY {}").format(named(name)),
                what=f"what the account has in database {place.database or line.to.database} could not be handed over",
                grant=f"GRANT {written(owner)} TO {written(line.to.user)}, and CREATE ON SCHEMA … TO {written(owner)}",
            )


def _roll_back(line: Line, name: str, transaction: str) -> None:
    """Roll a prepared transaction back: its locks would keep the role for ever, and only its owner may."""
    what = f"the prepared transaction {transaction} of the account could not be rolled back"
    line.ask(sql.SQL("SET ROLE {}").format(named(name)), what=what)
    try:
        line.ask(sql.SQL("ROLLBACK PREPARED {}").format(literal(transaction)), what=what)
    finally:
        line.ask("RESET ROLE", what=what)


def _words(line: Line, oid: int, place: _Place, most: int) -> list[str]:
    try:
        with _within(line, place) as there:
            rows = there.ask(THINGS, (oid, place.id, most), what=WHAT)
    except ConnectorError:
        # One line for all of them: it must not say that there is nothing.
        return [f"{min(place.owned, most)} things in database {place.database}, which could not be looked into"]
    where = "" if place.database is None else f" in database {place.database}"
    return [
        f"{str(thing)[:LONGEST]}{where}{', which runs with the rights of its owner' if definer else ''}"
        for thing, definer in rows
        if thing is not None
    ]


@contextmanager
def _within(line: Line, place: _Place) -> Iterator[Line]:
    """Yield a connection to a database: the one that there is, or another for a moment."""
    if place.database in (None, line.to.database):
        yield line
        return
    other = Line.open(line.to, until=line.until, database=place.database)
    try:
        yield other
    finally:
        other.close()
