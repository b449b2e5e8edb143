"""What the database is asked, word for word, and apart from it how often it is told to keep what was written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from tempadmin.db import db

NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "SAVEPOINT", "RELEASE")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements of this application, on whatever connection they are sent."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(NOT_COUNTED):
            seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


@contextmanager
def commits() -> Iterator[list[object]]:
    """Collect the transactions of this application that wrote something: `transaction()` alone commits."""
    seen: list[object] = []

    def note(connection: object) -> None:
        seen.append(connection)

    event.listen(db.engine, "commit", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "commit", note)
