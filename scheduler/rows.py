"""Rows that are known by name: made when missing, then locked."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from tempadmin.db import Base, db

M = TypeVar("M", bound=Base)


def locked(model: type[M], name: str, **first: Any) -> M:
    """Return the row of that name, read again and locked until the transaction ends.

    Parameters
    ----------
    first
        What the row holds when nobody has made it yet.
    """
    row = _read(model, name)
    if row is not None:
        return row
    # Two that make the first row race: the loser's INSERT waits, does nothing, and its read then waits for the lock.
    insert = postgresql_insert if db.session.get_bind().dialect.name == "postgresql" else sqlite_insert
    db.session.execute(insert(model).values(name=name, **first).on_conflict_do_nothing())
    row = _read(model, name)
    if row is None:
        raise RuntimeError(f"the row {name!r} of {model.__tablename__} vanished while it was being made")
    return row


def _read(model: type[M], name: str) -> M | None:
    return db.session.get(model, name, with_for_update=True, populate_existing=True)
