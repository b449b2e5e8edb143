"""The record for other programs: plain values, and CSV that no spreadsheet executes (S41)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask

from tempadmin.audit import queries
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db

COLUMNS = ("instance_id", "number", "occurred_at", "event", "actor_id", "actor_name", "request_id", "details", "hash")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def as_dict(event: AuditEvent) -> dict[str, Any]:
    """Return an event's values, the moment in ISO 8601 (UTC)."""
    values = {name: getattr(event, name) for name in COLUMNS}
    return {**values, "occurred_at": event.occurred_at.isoformat()}


def harmless(value: Any) -> str:
    """Return a CSV cell; what a spreadsheet would take for a formula gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def csv_chunks(app: Flask, *, search: str, may_go_on: Callable[[], bool]) -> Iterator[str]:
    """Yield a CSV file of events, newest first, a thousand at a time and each thousand in a context of its own.

    Parameters
    ----------
    may_go_on
        Asked before each thousand: a stream must not outlive the session that began it (P3).
    """
    yield _lines([COLUMNS])
    before: int | None = None
    while True:
        with app.app_context():
            if not may_go_on():
                yield _lines([("the session ended: the rest is missing",)])
                return
            query = queries.events(search=search)
            if before is not None:
                query = query.where(AuditEvent.id < before)
            found = db.session.scalars(query.limit(queries.CHUNK)).all()
            chunk = _lines([harmless(value) for value in as_dict(event).values()] for event in found)
            before = found[-1].id if found else None
        yield chunk
        if len(found) < queries.CHUNK:
            return


def _lines(rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
