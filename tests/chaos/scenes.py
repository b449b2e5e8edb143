"""One access that went well, as a history and a final state; each test of the checker breaks it in one place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.final import Final, Row
from tests.chaos.history import OK, History, Operation

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
REQUEST, REQUESTER, SESSION = "r1", 7, "s1"


def moment(at: float) -> datetime:
    return START + timedelta(seconds=at)


def operation(number: int, kind: str, at: float, *, outcome: str = OK, **told: Any) -> Operation:
    """One that took a tenth of a second; ``found_…`` is what came back."""
    found = {name.removeprefix("found_"): value for name, value in told.items() if name.startswith("found_")}
    facts = {name: value for name, value in told.items() if not name.startswith("found_")}
    return Operation(
        number=number,
        client="0",
        kind=kind,
        begun=at,
        wall=START.timestamp() + at,
        ended=at + 0.1,
        wall_ended=START.timestamp() + at + 0.1,
        outcome=outcome,
        facts={"person": REQUESTER, "cookie": None, "request": REQUEST, **facts},
        found=found,
    )


def event(kind: str, at: float, /, *, actor: int | None = REQUESTER, **details: str) -> Row:
    return {
        "request_id": 1,
        "event": kind,
        "actor_id": actor,
        "occurred_at": moment(at),
        "details": json.dumps(details),
    }


def history() -> History:
    """Asked, confirmed, entered, looked, changed something, left; and tried the old cookie."""
    return History(
        operations=[
            operation(1, "request", 1, reason="why", found_request=REQUEST, request=None),
            operation(2, "confirm", 2),
            operation(3, "enter", 3),
            operation(4, "redeem", 4, found_session=SESSION),
            operation(5, "page", 5, cookie=SESSION),
            operation(6, "change", 6, cookie=SESSION, name="new"),
            operation(7, "leave", 7, cookie=SESSION),
            operation(8, "page", 8, cookie=SESSION, outcome="refused"),
        ]
    )


def final() -> Final:
    """What that leaves."""
    at = {"created_at": 1.05, "provisioned_at": 1.2, "confirmed_at": 2.05, "started_at": 4.05}
    at |= {"ends_at": 16.05, "ending_at": 7.05, "ended_at": 7.2, "provisioning_at": 1.05}
    row: Row = {name: moment(value) for name, value in at.items()}
    row |= {"id": 1, "public_id": REQUEST, "state": "ended", "end_reason": "logout", "requester_id": REQUESTER}
    row |= {"reason": "why", "create_attempts": 1}
    ticket = {"id": 1, "request_id": 1, "used_at": moment(4.05), "expires_at": moment(10.05)}
    return Final(
        requests=[row],
        tickets=[ticket],
        events=[
            event("access.requested", 1.05),
            event("access.provisioned", 1.2, actor=None),
            event("access.confirmed", 2.05),
            event("access.code_issued", 3.05),
            event("access.entered", 4.05),
            event("instance.changed", 6.05, name="new"),
            event("access.ending", 7.05, reason="logout"),
            event("access.ended", 7.2, actor=None),
        ],
        outbox=[{"recipient": "a@b.example", "attempts": 1, "sent_at": moment(4)}],
        mails=["a@b.example\nEntered"],
        runs=["10:00:00", "10:00:02"],
    )


def changed(there: Final, **columns: Any) -> Final:
    """The same with other values in its request's row."""
    return replace(there, requests=[{**there.requests[0], **columns}])


def without(there: Final, name: str) -> Final:
    """The same without an event."""
    return replace(there, events=[row for row in there.events if row["event"] != name])


def more(there: History, *operations: Operation) -> History:
    """The same with more operations."""
    return replace(there, operations=[*there.operations, *operations])
