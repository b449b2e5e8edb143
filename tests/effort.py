"""How much a database does for each statement, by its own count and not by the clock: the same on every machine.

SQLite counts the steps of its virtual machine, PostgreSQL the rows that it read, whether it kept them or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from tempadmin.db import db

GRAIN = 10
"""Steps of SQLite's machine between two looks."""
EXPLAINED = ("SELECT", "UPDATE", "DELETE", "WITH")

Effort = dict[str, int]
"""By statement: how much was done for all its uses together."""


@contextmanager
def effort() -> Iterator[Effort]:
    """Collect what is done for each statement of the present application inside."""
    spent: Effort = defaultdict(int)
    if db.engine.dialect.name == "sqlite":
        with _steps(spent):
            yield spent
    else:
        with _rows(spent):
            yield spent


@contextmanager
def _steps(spent: Effort) -> Iterator[None]:
    watched: list[Any] = []

    def before(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        def count() -> int:
            spent[statement] += GRAIN
            return 0

        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, GRAIN)
        watched.append(driver)

    event.listen(db.engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", before)
        for driver in watched:
            driver.set_progress_handler(None, GRAIN)


@contextmanager
def _rows(spent: Effort) -> Iterator[None]:
    """Explain each statement just before it runs, where it runs; what explaining one writes is taken back."""

    def before(connection: Connection, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if isinstance(parameters, list) or not statement.lstrip().startswith(EXPLAINED):
            return  # many at once are never many reads
        driver: Any = connection.connection.driver_connection
        with driver.transaction(force_rollback=True):
            (plans,) = driver.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).fetchone()
        spent[statement] += sum(_read(plan["Plan"]) for plan in plans)

    event.listen(db.engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", before)


def _read(node: dict[str, Any]) -> int:
    """Return how many rows a part of a plan and all below it took from tables."""
    read = sum(_read(part) for part in node.get("Plans", []))
    if "Relation Name" in node and node["Node Type"].endswith("Scan"):
        removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
        read += int((node["Actual Rows"] + removed) * node["Actual Loops"])
    return read
