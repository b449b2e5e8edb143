"""Breaking rows as a bad day or a careless hand does: raw SQL, with the database's own constraints out of the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import inspect, text

from tempadmin.db import db


@contextmanager
def broken(table: str, column: str, value: object, *, row_id: int) -> Iterator[None]:
    """Write what the schema would refuse, for as long as this lasts; then what stood there before."""
    db.session.rollback()
    with db.engine.connect() as connection:
        query = text(f"SELECT {column} FROM {table} WHERE id = :id")
        before = connection.execute(query, {"id": row_id}).scalar_one()
    write(table, column, value, row_id=row_id)
    try:
        yield
    finally:
        write(table, column, before, row_id=row_id)


def write(table: str, column: str, value: object, *, row_id: int) -> None:
    """Write a value past all constraints; on PostgreSQL the table's checks do not come back in this world."""
    db.session.rollback()
    if db.engine.dialect.name == "sqlite":
        statement = f"UPDATE {table} SET {column} = ? WHERE id = ?"
        _past_sqlite(statement, (value, row_id))
        return
    with db.engine.begin() as connection:
        for check in inspect(connection).get_check_constraints(table):
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {check['name']}"))
        if value is None:
            connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"))
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys, no triggers
        connection.execute(text(f"UPDATE {table} SET {column} = :value WHERE id = :id"), {"value": value, "id": row_id})


def _past_sqlite(statement: str, values: tuple[Any, ...]) -> None:
    connection = db.engine.raw_connection()
    try:
        cursor = connection.cursor()
        for pragma in ("ignore_check_constraints = ON", "foreign_keys = OFF"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(statement, values)
        for pragma in ("ignore_check_constraints = OFF", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        connection.close()
