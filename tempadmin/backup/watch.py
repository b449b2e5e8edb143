"""Noticed without a human: at each start and each heartbeat the database is compared with the mark."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from flask import Flask

from tempadmin.audit import queries
from tempadmin.audit.log import SERVICE, newest_written
from tempadmin.backup import mark
from tempadmin.backup.anew import Anew, begin_anew
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error, ok
from tempadmin.jobs import beats
from tempadmin.runtime import Runtime, application

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Look at each heartbeat of a scheduler, before it leads or runs anything."""
    beats(app).append(look)


def look(runtime: Runtime) -> Anew | None:
    """Begin anew when the database is older than what was seen, and move the mark on; return what was done, if any.

    Besides the mark, which is of the last heartbeat, this process remembers the last event that it committed itself: a
    fail-over to a replica loses the last second rather than the last hour.
    """
    folder = runtime.settings.data
    kept, older = mark.read(folder), None
    with db.engine.connect() as connection:
        found = mark.highest(connection)
        if found is not None:
            own = newest_written(application())
            written = None if own is None else mark.Mark(first=found.first, id=own[0], hash=own[1])
            seen = [one for one in (kept, written) if one is not None and one != found]
            missed = [one for one in seen if mark.is_older(connection, than=one)]
            older = max(missed, key=lambda one: one.id, default=None)
    anew = None
    if older is not None:
        log.error("database.older_than_seen", seen=older.id, found=found.id if found else 0)
        anew = begin_anew(actor=SERVICE, runtime=runtime, seen=older)
        with db.engine.connect() as connection:
            found = mark.highest(connection)
    if found is not None and found != kept:
        mark.write(folder, found)
    return anew


def findings(runtime: Runtime) -> Iterator[Finding]:
    """Say whether the database is the one that was seen last, and when it began anew."""
    kept = mark.read(runtime.settings.data)
    with db.engine.connect() as connection:
        older = kept is not None and mark.is_older(connection, than=kept)
    last = queries.newest(mark.RESTORED)
    if older and kept is not None:
        message = f"this database is older than what was seen here: event {kept.id} is missing"
        yield error(message, "run: tempadmin db restored (the service does it by itself when it starts)")
    elif last is not None:
        at = f"{last.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
        yield ok(f"restored, and began anew at {at}; all that was under way ended then")
    else:
        yield ok("never restored" if kept else "never restored as far as is known; nothing was seen from here yet")
