"""Checks of what everything stands on: settings, database, migrations, schema, clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tempadmin import schema
from tempadmin.clock import MOST_SKEW, DatabaseClock
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error, ok, said
from tempadmin.runtime import Runtime
from tempadmin.settings import TOML_NAME

UPGRADE = "run: tempadmin db upgrade"

_NOW = {
    "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    "postgresql": "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00:00')",
}


def settings(runtime: Runtime) -> Iterator[Finding]:
    """Say where they come from; settings that cannot be used never get this far."""
    file = runtime.settings.data / TOML_NAME
    source = f"{file} and the environment" if file.exists() else f"the environment (there is no {file})"
    yield ok(f"read from {source}; the console is at {runtime.settings.base_url}")


def database(_runtime: Runtime) -> Iterator[Finding]:
    """Connect, and see whether it takes writes; never make an SQLite file that is not there."""
    url = db.engine.url
    file = url.database if db.engine.dialect.name == "sqlite" else None
    if file and not file.startswith((":", "file:")) and not Path(file).exists():
        yield error(f"there is no database at {file}", f"{UPGRADE} (is --data the folder that you mean?)")
        return
    try:
        read_only = _takes_no_writes()
    except (SQLAlchemyError, sqlite3.Error) as reason:
        advice = "see that it runs and may be read and written; check database_url and the data folder"
        yield error(f"{url.render_as_string()} does not answer: {said(reason)}", advice)
        return
    if read_only:
        yield error(f"{url.render_as_string()} takes no writes", "name the primary server in database_url")
        return
    yield ok(f"{url.render_as_string()} answers and takes writes")


def migrations(_runtime: Runtime) -> Iterator[Finding]:
    """Compare the database's revision with this version's."""
    present, newest, known = schema.revisions()
    at = ", ".join(sorted(present))
    if not present:
        yield error("the database was never prepared", UPGRADE)
    elif present == newest:
        yield ok(f"at this version's schema, revision {at}")
    elif present - known:
        advice = "install the version that made it, or restore a backup from before; there is no way back"
        yield error(f"the database is at revision {at}, which this version does not know: a newer one made it", advice)
    else:
        wanted = ", ".join(sorted(newest))
        yield error(f"the database is at {at}, this version needs revision {wanted}", UPGRADE)


def schema_drift(_runtime: Runtime) -> Iterator[Finding]:
    """Name what differs from the expected schema, triggers included (S51, design §10)."""
    differences = schema.drift()
    advice = "find out who changed the schema, run tempadmin audit verify, and put it right or restore a backup"
    yield from (error(difference, advice) for difference in differences)
    if not differences:
        yield ok("tables, indexes, checks and triggers are as this version expects them")


def clock(runtime: Runtime) -> Iterator[Finding]:
    """Compare this machine's clock with the database's: workers on several machines must agree on what expired."""
    # The service's own time comes from the database (PostgreSQL): what may be wrong is what the machine says.
    machine = runtime.clock.machine if isinstance(runtime.clock, DatabaseClock) else runtime.clock
    with db.engine.connect() as connection:
        query = text(_NOW[connection.dialect.name].replace(":", r"\:"))
        connection.execute(query)  # the first answer takes longest
        before = machine.now()
        there = datetime.fromisoformat(str(connection.scalar(query))).astimezone(UTC)
        here = before + (machine.now() - before) / 2
    skew = here - there
    apart = f"{abs(skew.total_seconds()):.1f} s"
    if abs(skew) > MOST_SKEW:
        direction = "ahead of" if skew > timedelta(0) else "behind"
        advice = "let both keep time by NTP: expiry goes by the database's clock, logs and mails by this machine's"
        yield error(f"this machine's clock is {apart} {direction} the database's", advice)
    else:
        yield ok(f"{apart} from the database's")


def _takes_no_writes() -> bool:
    with db.engine.connect() as connection:
        writing = connection.execution_options(write=True)
        if writing.dialect.name == "postgresql":
            return bool(writing.scalar(text("SELECT current_setting('transaction_read_only') = 'on'")))
        # On a file that is read-only even BEGIN IMMEDIATE succeeds (measured); this fails, and is never committed.
        number = int(writing.scalar(text("PRAGMA user_version")))
        writing.execute(text(f"PRAGMA user_version = {number}"))
        writing.rollback()
        return False
