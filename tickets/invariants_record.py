"""Each request against what its chain says of it (P13): every transition has its event, and the order fits the machine.

One statement reads requests with their events, in one pass and in constant memory, however long the history is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import exists, select

from tempadmin.audit.models import AuditCheckpoint, AuditEvent
from tempadmin.audit.queries import CHUNK
from tempadmin.db import db
from tempadmin.doctor.findings import Finding, error
from tempadmin.doctor.invariants import BY_HAND
from tempadmin.runtime import Runtime
from tickets.models import IMPERSONATION, TEMPORARY_ADMIN, AccessRequest
from tickets.states import State

STEPS = {
    "access.requested": "R",
    "access.approved": "Y",
    "access.started": "S",
    "access.provisioned": "P",
    "access.confirmed": "C",
    "access.entered": "E",
    "access.ending": "G",
    "access.ended": "D",
}
"""The events of transitions, each as one letter: a request's life is a word."""

LIVES = {
    TEMPORARY_ADMIN: re.compile(r"R(Y*|(Y+S)?(PC?|PCE)?)(GD?)?"),
    IMPERSONATION: re.compile(r"R(Y*|Y+S(C|CE)?)(GD?)?"),
}
"""The words that the machine allows (design §2)."""

WHAT_IS_LEFT = re.compile(r"(Y*S?P?C?E?G?D)?")
"""Of a life whose beginning was archived: nothing, or its last events, up to the end."""

STATES = {
    "R": {State.PENDING_APPROVAL, State.PROVISIONING},
    "Y": {State.PENDING_APPROVAL, State.APPROVED},
    "S": {State.PROVISIONING, State.AWAITING_CONFIRMATION},
    "P": {State.AWAITING_CONFIRMATION},
    "C": {State.READY},
    "E": {State.ACTIVE},
    "G": {State.ENDING},
    "D": {State.ENDED},
}
"""Where a request stands after each of them."""


def faults(_runtime: Runtime) -> Iterator[Finding]:
    """Yield requests whose state and record disagree, and what was done in a support session after its end (P3)."""
    query = (
        select(
            AccessRequest.id,
            AccessRequest.public_id,
            AccessRequest.kind,
            AccessRequest.state,
            AccessRequest.instance_id,
            AccessRequest.created_at,
            AuditEvent.number,
            AuditEvent.event,
        )
        .outerjoin(AuditEvent, AuditEvent.request_id == AccessRequest.id)
        .order_by(AccessRequest.id)
    )
    checkpoints = select(AuditCheckpoint.instance_id, AuditCheckpoint.archived_before)
    archived = dict(db.session.execute(checkpoints).all())
    found = db.session.connection().execute(query, execution_options={"yield_per": CHUNK})
    for _, rows in groupby(found, attrgetter("id")):
        yield from _disagreements(rows, archived)
    lost = exists().where(AccessRequest.id == AuditEvent.request_id)
    nowhere = select(AuditEvent.request_id).where(AuditEvent.request_id.is_not(None), ~lost).distinct()
    for request_id in db.session.scalars(nowhere):
        yield error(f"the record speaks of request {request_id}, and there is none", BY_HAND)


def _disagreements(group: Iterable[Any], archived: Mapping[int, datetime]) -> Iterator[Finding]:
    rows = sorted(group, key=lambda row: row.number or 0)
    request = rows[0]
    word = "".join(STEPS.get(row.event, "") for row in rows)
    life = LIVES.get(request.kind)
    if life is None:
        yield error(f"request {request.public_id} is of no kind that there is", BY_HAND)
    elif _is_archived(request, archived) and not word.startswith("R"):
        if request.state != State.ENDED or not WHAT_IS_LEFT.fullmatch(word):
            yield error(f"request {request.public_id} is {request.state}, and what is left of it does not fit", BY_HAND)
    elif not life.fullmatch(word) or request.state not in STATES[word[-1]]:
        told = ", ".join(row.event.removeprefix("access.") for row in rows if row.event in STEPS) or "nothing"
        yield error(f"request {request.public_id} is {request.state}, and its record says: {told}", BY_HAND)
    events = [row.event for row in rows]
    over = events.index("access.ending") if "access.ending" in events else len(events)
    for row in rows[over:]:
        if not row.event.startswith("access."):
            yield error(f"request {request.public_id} was over, and {row.event} was done in it", BY_HAND)


def _is_archived(request: Any, archived: Mapping[int, datetime]) -> bool:
    """Tell whether a request is older than what was archived of its instance: its first events may be gone rightly."""
    before = archived.get(request.instance_id)
    return before is not None and request.created_at < before
