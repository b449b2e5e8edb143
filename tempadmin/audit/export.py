"""The record for other programs: plain values, and CSV that no spreadsheet executes (S41)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from tempadmin.audit.models import AuditEvent

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


def csv_lines(events: Iterable[AuditEvent]) -> Iterator[str]:
    """Yield the lines of a CSV file, one at a time."""
    yield _line(COLUMNS)
    for event in events:
        yield _line([harmless(value) for value in as_dict(event).values()])


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
