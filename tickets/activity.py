"""Activity: one row for each HTTP request of a support session, with the real person, whatever came of it (S53).

Who acts is noted when the session is read, before the view; the row is written when the answer stands, also when the
view raised, was refused, or does not exist. No row, no page: if it cannot be written, a reader gets 503 instead of
what they asked for. What a request changed stands in the audit chain already, written by its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import structlog
from flask import Flask, g, request
from sqlalchemy import Connection, Table, bindparam, insert, update
from werkzeug.wrappers import Response

from tempadmin.accounts import login, sessions
from tempadmin.accounts.models import LoginSession
from tempadmin.db import db, transaction
from tempadmin.runtime import current_runtime
from tempadmin.web import errors
from tempadmin.web.context import find_instance
from tempadmin.web.guard import SAFE_METHODS
from tempadmin.web.security import SESSION_COOKIE, read_cookie
from tickets.activity_words import words_for
from tickets.models import AccessRequest, Activity

LONGEST_METHOD, LONGEST_PATH, LONGEST_WORDS = 10, 500, 300

# Built once, and sent past the session's bookkeeping: each page of a support session pays for these (`make bench`).
_ROWS, _REQUESTS, _SESSIONS = (cast(Table, model.__table__) for model in (Activity, AccessRequest, LoginSession))
_NAMES = [column.name for column in _ROWS.columns if not column.primary_key]
ADD = insert(_ROWS).values({name: bindparam(f"new_{name}") for name in _NAMES}).inline()
COUNT = (
    update(_REQUESTS)
    .where(_REQUESTS.c.id == bindparam("request"))
    .values(activity_count=_REQUESTS.c.activity_count + 1)
)
# PostgreSQL takes all three in one round trip; the join has it lock the request before the session (design §2).
_COUNTED = COUNT.returning(_REQUESTS.c.id).cte("counted")
_USED = sessions.NOTE_USE.where(_SESSIONS.c.access_request_id == _COUNTED.c.id).cte("used")
ADD_AND_COUNT, ADD_COUNT_AND_NOTE_USE = ADD.add_cte(_COUNTED), ADD.add_cte(_COUNTED, _USED)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who makes a request in a support session; plain values, for the session's row may be gone at the end of it."""

    session_id: int
    request_id: int
    instance_id: int
    actor_id: int
    actor_name: str
    subject_id: int


def init_app(app: Flask) -> None:
    """Note who acts, and write the row when the answer stands."""
    sessions.session_used.connect(_note, sender=app)
    app.after_request(_write)


def _note(_app: Flask, *, row: LoginSession) -> None:
    if row.access_request_id is not None:
        g.visit = Visit(
            session_id=row.id,
            request_id=row.access_request_id,
            instance_id=row.instance_id,
            actor_id=row.actor_id,
            actor_name=row.actor_name,
            subject_id=row.user_id,
        )


def _write(response: Response) -> Response:
    """Write the row of this request, if a support session made it."""
    try:
        _look_behind_the_ceiling(response.status_code)
        if g.get("reads_session", False):
            login.acting_session()  # a request that was refused before anybody asked who makes it
        visit: Visit | None = g.pop("visit", None)  # taken away: whatever fails after this, no second row
        if visit is not None:
            record_activity(visit, status=response.status_code)
    except Exception:
        db.session.rollback()
        log.exception("activity.not_written", status=response.status_code)
        if request.method not in SAFE_METHODS and response.status_code < HTTPStatus.BAD_REQUEST:
            return response  # what it did is in the audit chain; a 503 would invite to do it twice
        response.close()
        return errors.page(503, "This visit could not be recorded, so nothing is shown. Try again in a moment.")
    return response


def _look_behind_the_ceiling(status: int) -> None:
    """Have the session read where the ceiling on changes answered before anybody else looked (S53).

    Only behind a cookie that calls itself one of support: a flood without costs the database nothing.
    """
    refused_unseen = status == HTTPStatus.TOO_MANY_REQUESTS and "reads_session" not in g
    if refused_unseen and (read_cookie(SESSION_COOKIE) or "").startswith(sessions.SUPPORT_PREFIX):
        g.instance = find_instance()
        g.reads_session = g.instance is not None
        g.pop("_login_user", None)  # the page of the refusal took whoever came for nobody


def record_activity(visit: Visit, *, status: int) -> None:
    """Add one row, count it, and note that the session was used, in one transaction of the service's own.

    The last use is noted here and not before the view: one commit a page instead of two. ``login.load`` notes it
    early only where the idle limit is near (P10).
    """
    with transaction(as_service=True) as session:
        now = current_runtime().now()
        row = {
            "request_id": visit.request_id,
            "instance_id": visit.instance_id,
            "occurred_at": now,
            "actor_id": visit.actor_id,
            "actor_name": visit.actor_name,
            "subject_id": visit.subject_id,
            "method": _storable(request.method, LONGEST_METHOD),
            "path": _storable(request.path, LONGEST_PATH),
            "status": status,
            "did": _storable(words_for(request.endpoint, request.method, status), LONGEST_WORDS),
        }
        _send(
            session.connection(),
            new={f"new_{name}": value for name, value in row.items()},
            counted={"request": visit.request_id},
            used=None if g.get("quiet", False) else {"session": visit.session_id, "now": now},
        )


def _send(connection: Connection, *, new: dict[str, Any], counted: dict[str, int], used: dict[str, Any] | None) -> None:
    if connection.dialect.name == "postgresql":
        statement = ADD_AND_COUNT if used is None else ADD_COUNT_AND_NOTE_USE
        connection.execute(statement, {**new, **counted, **(used or {})})
        return
    connection.execute(COUNT, counted)
    if used is not None:
        connection.execute(sessions.NOTE_USE, used)
    connection.execute(ADD, new)


def _storable(text: str, longest: int) -> str:
    """Return what fits a column: PostgreSQL's text holds no NUL, and no database half a character."""
    return text[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
