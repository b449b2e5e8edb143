"""Tampering as somebody who may change the schema: the triggers of the record go, and come back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from tempadmin.db import db


@contextmanager
def without_triggers(table: str = "audit_events") -> Iterator[None]:
    """Let raw SQL edit, delete and insert rows of a table that is append-only (S51).

    What is written inside must be committed inside: other connections see the triggers gone for as long as this lasts.
    """
    db.session.rollback()
    if db.engine.dialect.name == "postgresql":
        take, give = [f"ALTER TABLE {table} DISABLE TRIGGER USER"], [f"ALTER TABLE {table} ENABLE TRIGGER USER"]
    else:
        query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
        with db.engine.connect() as connection:
            found = connection.execute(query, {"table": table}).all()
        take = [f"DROP TRIGGER {name}" for name, _ in found]
        # Dropped once more: another pooled connection may still remember them, and says that they exist (measured).
        give = [statement for name, sql in found for statement in (f"DROP TRIGGER IF EXISTS {name}", sql)]
    _run(take)
    try:
        yield
    finally:
        db.session.rollback()
        _run(give)


def _run(statements: list[str]) -> None:
    with db.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
