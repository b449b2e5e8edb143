"""The history of support access for other programs: every access ever, and all that was done in one (S41, S54)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response
from sqlalchemy import ColumnElement, select

from tempadmin.db import db
from tempadmin.web import streams
from tickets import watching
from tickets.models import AccessRequest, Activity

ACCESS_COLUMNS = (
    "id",
    "kind",
    "state",
    "requester_name",
    "requester_email",
    "subject_name",
    "account_name",
    "account_email",
    "reason",
    "external_ticket",
    "approved_by",
    "asked_at",
    "entered_at",
    "over_at",
    "deleted_at",
    "end_reason",
    "ended_by",
    "requests",
)
ACTIVITY_COLUMNS = ("at", "who", "did", "method", "path", "status")


def accesses(which: ColumnElement[bool], *, form: str) -> Response:
    """Stream the accesses that fit a condition, newest first."""

    def fetch(below: int | None) -> Sequence[tuple[int, dict[str, Any]]]:
        query = select(AccessRequest.id).where(which).order_by(AccessRequest.id.desc()).limit(streams.CHUNK)
        if below is not None:
            query = query.where(AccessRequest.id < below)
        return [(one.request.id, _access(one)) for one in watching.told(query)]

    return streams.answer(form=form, name="support-access", columns=ACCESS_COLUMNS, fetch=fetch)


def activity(request: AccessRequest, *, form: str) -> Response:
    """Stream what was done in one access, newest first."""
    request_id = request.id

    def fetch(below: int | None) -> Sequence[tuple[int, dict[str, Any]]]:
        query = select(Activity).where(Activity.request_id == request_id).order_by(Activity.id.desc())
        if below is not None:
            query = query.where(Activity.id < below)
        return [(row.id, _activity(row)) for row in db.session.scalars(query.limit(streams.CHUNK))]

    return streams.answer(form=form, name=f"activity-{request.public_id}", columns=ACTIVITY_COLUMNS, fetch=fetch)


def _access(told: watching.Told) -> dict[str, Any]:
    one = told.request
    moments = {
        "asked_at": one.created_at,
        "entered_at": one.started_at,
        "over_at": one.ending_at,
        "deleted_at": one.ended_at if one.account_name else None,
    }
    return {
        "id": one.public_id,
        "kind": one.kind,
        "state": one.state,
        "requester_name": one.requester_name,
        "requester_email": one.requester_email,
        "subject_name": one.subject_name,
        "account_name": one.account_name,
        "account_email": one.account_email,
        "reason": one.reason,
        "external_ticket": one.external_ticket,
        "approved_by": ", ".join(
            answer.decided_by_name for answer in told.answers.of_request if answer.decided_by_name
        ),
        **{name: at.isoformat() if at else None for name, at in moments.items()},
        "end_reason": one.end_reason,
        "ended_by": one.ended_by_name,
        "requests": one.activity_count,
    }


def _activity(row: Activity) -> dict[str, Any]:
    return {
        "at": row.occurred_at.isoformat(),
        "who": row.actor_name,
        "did": row.did,
        "method": row.method,
        "path": row.path,
        "status": row.status,
    }
