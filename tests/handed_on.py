"""PostgreSQL databases that one test hands on to the next: to copy one anew costs the server 100 ms.

What is handed on is as good as new: the template's rows, its next ids, no connection of before, a name of its own.
Where a test changed more than rows (a table, a trigger, a setting of the database), or made many of them, its database
is dropped.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.postgresql import Cluster

CATALOGS = "attrdef attribute class constraint extension index namespace policy proc rewrite sequence trigger type"
GROWN = 4_000_000
"""Bytes of tables and indexes, dead rows among them, at which a database is dropped; a new one has about a million."""

CHANGED = " UNION ALL ".join(  # any definition that is made, changed or removed leaves its mark here
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM pg_{name}" for name in CATALOGS.split()
)
SETTINGS = """
    SELECT datallowconn, datconnlimit, datacl::text,
        (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase IN (0, pg_database.oid))
    FROM pg_database WHERE datname = current_database()"""
SIZE = """
    SELECT sum(pg_total_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
OTHERS = """
    SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
NEXT_IDS = """
    SELECT setval(name::regclass, coalesce(last, 1), last IS NOT NULL)
    FROM unnest(%s::text[], %s::bigint[]) AS found (name, last)"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"


@dataclass(frozen=True)
class New:
    """What a copy is like before anybody uses it."""

    definitions: list[Any]
    tables: list[str]
    rows: dict[str, bytes]
    """As COPY writes them; tables without rows are left out."""
    sequences: list[tuple[str, int | None]]


class HandedOn:
    """Copies of databases, made when none is free."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._own: psycopg.Connection | None = None
        self._free: dict[str, list[str]] = {}
        self._taken: dict[str, str] = {}
        self._new: dict[str, New] = {}

    def take(self, template: str) -> str:
        """A copy with a name that there never was."""
        if free := self._free.get(template):
            name = f"test_{uuid4().hex[:12]}"
            self._own = self._own or self.cluster.connect("postgres")
            self._own.execute(f'ALTER DATABASE "{free.pop()}" RENAME TO "{name}"')
        else:
            name = self.cluster.new_database(template)
        if template not in self._new:
            with self.cluster.connect(name) as connection:
                self._new[template] = _look(connection)
        self._taken[name] = template
        return name

    def give_back(self, name: str) -> None:
        """Make it as it was for the next test, or drop it."""
        template = self._taken.pop(name)
        with suppress(psycopg.Error):  # a test may have shut it
            with self.cluster.connect(name) as connection:
                as_new = _made_as_new(connection, self._new[template])
            if as_new:
                self._free.setdefault(template, []).append(name)
                return
        self.cluster.drop(name)

    def close(self) -> None:
        """End the connection that is kept."""
        if self._own is not None:
            self._own.close()


def _look(connection: psycopg.Connection) -> New:
    tables = [name for (name,) in connection.execute(TABLES)]
    rows = {}
    for table in tables:
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
            rows[table] = b"".join(bytes(part) for part in copy)
    return New(
        definitions=_definitions(connection),
        tables=tables,
        rows={table: found for table, found in rows.items() if found},
        sequences=[(name, last) for name, last in connection.execute(SEQUENCES)],
    )


def _definitions(connection: psycopg.Connection) -> list[Any]:
    return connection.execute(CHANGED).fetchall() + connection.execute(SETTINGS).fetchall()


def _made_as_new(connection: psycopg.Connection, new: New) -> bool:
    """Bring its rows back; tell whether that was all there was to do."""
    connection.execute(OTHERS)
    size = connection.execute(SIZE).fetchone()
    if _definitions(connection) != new.definitions or (size is not None and size[0] > GROWN):
        return False
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger, no foreign key
        connection.execute("; ".join(f'DELETE FROM "{table}"' for table in new.tables))
        for table, rows in new.rows.items():
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                copy.write(rows)
        names, last = [list(column) for column in zip(*new.sequences, strict=True)]
        connection.execute(NEXT_IDS, (names, last))
    return True
