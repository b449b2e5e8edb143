"""A request in plain values and lines, for commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tempadmin.audit import queries as audit_queries
from tickets import belongings, queries, retention, story, watching
from tickets.models import IMPERSONATION, PENDING, AccessRequest, Approval
from tickets.states import OPEN, State
from tickets.watching import Answers


def facts_of(request: AccessRequest, told: Answers) -> dict[str, Any]:
    """Return what a list says of a request."""
    mine = State(request.state) in OPEN
    return {
        "id": request.public_id,
        "kind": request.kind,
        "state": request.state,
        "says": story.state_words(request, mine=mine)[0],
        "waits_for": _missing(request, told),
        "instance": request.instance_name,
        "requester": f"{request.requester_name} <{request.requester_email}>",
        "subject": f"{request.subject_name} <{request.account_email}>" if request.kind == IMPERSONATION else None,
        "account": request.account_name,
        "entry": request.entry,
        "let_in": _iso(request.activated_at),
        "let_in_error": request.last_error if request.state == State.ACTIVE else None,
        "reason": request.reason,
        "external_ticket": request.external_ticket,
        "duration_seconds": request.duration_seconds,
        "asked": _iso(request.created_at),
        "lapses": _iso(request.lapses_at),
        "entered": _iso(request.started_at),
        "ends": _iso(request.ends_at),
        "ended": _iso(request.ended_at),
        "end_reason": request.end_reason,
        "ended_by": request.ended_by_name,
        "removal_failures": request.removal_failures,
        "removal_error": request.last_error if request.state == State.ENDING else None,
        "removed_by_hand_by": request.removed_by_hand_by if request.removed_by_hand_at else None,
        "activity_count": request.activity_count,
    }


def record_of(request: AccessRequest) -> dict[str, Any]:
    """Return everything that is known of a request."""
    told = watching.answers_of([request])[request.id]
    extension = told.extension
    return {
        **facts_of(request, told),
        "approvals": [_answer(one) for one in told.of_request],
        "extension": None
        if extension is None
        else {
            "state": extension.state,
            "added_seconds": extension.added_seconds,
            "reason": extension.reason,
            "asked": _iso(extension.asked_at),
            "approvals": [_answer(one) for one in told.of_extension],
        },
        "made_there": belongings.told(request),
        "accounts_made": [
            {"email": user.email, "name": user.full_name, "role": user.role, "vouched_for": not user.unvouched}
            for user in queries.made_in(request)
        ],
        "events": [
            {"at": event.occurred_at.isoformat(), "event": event.event, "by": event.actor_name}
            for event in audit_queries.of_request(request_id=request.id)
        ],
        "older_events_archived": _iso(retention.record_archived(request)),
    }


def lines_of(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield a record as lines for a terminal."""
    lists = ("approvals", "extension", "accounts_made", "events", "older_events_archived")
    for name, value in record.items():
        if name not in lists:
            words = ", ".join(value) if isinstance(value, list) else value
            yield f"{name.replace('_', ' '):<17} {words if words not in (None, '') else '–'}"
    yield from _answer_lines(record["approvals"])
    if (extension := record["extension"]) is not None:
        yield f"more time: {extension['added_seconds'] // 60} minutes, {extension['state']}: {extension['reason']}"
        yield from _answer_lines(extension["approvals"])
    for one in record["accounts_made"]:
        vouched = "vouched for" if one["vouched_for"] else "nobody vouched for it yet"
        yield f"account made: {one['name']} <{one['email']}>, {one['role']}, {vouched}"
    if record["older_events_archived"]:
        yield f"Older events were archived on {record['older_events_archived']}."
    for one in record["events"]:
        yield f"  {one['at']}  {one['event']:<28} {one['by']}"


def _answer_lines(answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in answers:
        said = f"{one['decision']} by {one['by']}" if one["decision"] else "no answer"
        yield f"  {one['side']:<10} {said}" + (f": {one['note']}" if one["note"] else "")


def _answer(one: Approval) -> dict[str, Any]:
    return {
        "side": one.side,
        "decision": one.decision,
        "by": one.decided_by_name,
        "email": one.decided_by_email,
        "at": _iso(one.decided_at),
        "note": one.note,
    }


def _missing(request: AccessRequest, told: Answers) -> list[str]:
    """Return the sides whose yes is still asked for."""
    asked = told.of_request if request.state == State.PENDING_APPROVAL else []
    if told.extension is not None and told.extension.state == PENDING:
        asked = told.of_extension
    return [one.side for one in asked if one.decision is None]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
