"""Long answers, a thousand rows at a time: constant memory, and no longer than the right to see them (P3)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flask import Flask, Response

from tempadmin.accounts import login, sessions
from tempadmin.runtime import application

CHUNK = 1_000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
CUT_OFF = "the session ended: the rest is missing"

Row = Mapping[str, Any]
Fetch = Callable[[int | None], Sequence[tuple[int, Row]]]
"""Returns up to ``CHUNK`` rows below an id (or from the newest on), newest first, each with its id."""


def harmless(value: Any) -> str:
    """Return a CSV cell; what a spreadsheet would take for a formula gets an apostrophe in front (S41)."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def answer(*, form: str, name: str, columns: Sequence[str], fetch: Fetch) -> Response:
    """Return a file that is made while it is sent; each thousand rows the session that asked for it is judged anew."""
    acting = login.acting_session()
    session_id = acting.id if acting is not None else 0
    parts = _parts(application(), fetch, lambda: sessions.is_alive(session_id))
    lines = as_json(parts) if form == "json" else as_csv(columns, parts)
    headers = {"Content-Disposition": f"attachment; filename={name}.{form}"}
    return Response(lines, mimetype="application/json" if form == "json" else "text/csv", headers=headers)


def as_csv(columns: Sequence[str], parts: Iterable[Sequence[Row] | None]) -> Iterator[str]:
    """Yield a CSV file; ``None`` among the parts says that it was cut off."""
    yield _lines([columns])
    for part in parts:
        yield _lines([(CUT_OFF,)] if part is None else ([harmless(row[name]) for name in columns] for row in part))


def as_json(parts: Iterable[Sequence[Row] | None]) -> Iterator[str]:
    """Yield a JSON array with an object for each row; the last one of a file that was cut off says so."""
    separator = "[\n"
    for part in parts:
        rows = [{"error": CUT_OFF}] if part is None else part
        if rows:
            yield separator + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _parts(app: Flask, fetch: Fetch, may_go_on: Callable[[], bool]) -> Iterator[Sequence[Row] | None]:
    """Yield the rows by thousands, each in a context of its own; ``None`` when the session has ended meanwhile."""
    below: int | None = None
    while True:
        with app.app_context():
            if not may_go_on():
                yield None
                return
            found = fetch(below)
        yield [row for _, row in found]
        if len(found) < CHUNK:
            return
        below = found[-1][0]


def _lines(rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
