"""A drill on the installation at work: an account that really cannot be removed, until it is stopped or time is up.

It needs an instance of its own, which nobody can enter: its host name ends in ``.invalid``, and its accounts are rows
of the drill directory. All else is real: the request, its record, *Needs attention*, mails and metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from instances.connectors.drill import DRILL, Fault, set_fault
from instances.models import Drill, VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict, Forbidden
from tempadmin.runtime import Runtime
from tickets import drill, leftovers, queries
from tickets.end import end_access
from tickets.leftover_model import Leftover
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.removal import deprovision
from tickets.states import EndReason, State

WEB_ID, NAME, HOST = "drill", "Drill (no customer)", "drill.invalid"
STICKING = (Fault.REFUSES, Fault.HANGS, Fault.DOES_NOTHING, Fault.DIES_HALF_WAY)
"""The faults against which no further try helps."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a drill stands."""

    fault: Fault | None
    until: datetime | None
    requests: tuple[AccessRequest, ...]
    """Those that have not ended."""
    left: tuple[str, ...]
    """What is in the drill directory."""


def start(fault: Fault, *, lasting: timedelta, person: User, actor: Actor, runtime: Runtime) -> AccessRequest:
    """Make an account for a drill, end its access, and have its removal fail for so long; return the request.

    Raises
    ------
    Forbidden
        When the person is no omniadmin.
    Conflict
        When the fault does not stick, somebody has to say yes first, or a drill goes on.
    """
    if person.role != OMNIADMIN:
        raise Forbidden("Only an omniadmin can hold a drill.")
    if fault not in STICKING:
        raise Conflict(f"Only a fault that sticks can be held here: {', '.join(STICKING)}. The others: drill run.")
    requester_id = person.id
    instance_id = drill.open_directory(web_id=WEB_ID, name=NAME, host=HOST, actor=actor, runtime=runtime)
    if status(runtime=runtime).left:
        raise Conflict("A drill goes on already. Stop it first: tempadmin drill stop")
    set_fault(instance_id, None, until=runtime.now())
    present = queries.open_of(requester_id=requester_id, instance_id=instance_id)
    if present is not None and present.state in {State.PENDING_APPROVAL, State.APPROVED}:
        raise Conflict(f"Request {present.public_id} waits: have it approved, press Start, and run this again.")
    request_id = present.id if present else drill.ask(requester_id=requester_id, web_id=WEB_ID, runtime=runtime)
    provision(request_id=request_id, runtime=runtime)
    set_fault(instance_id, fault, until=runtime.now() + lasting)
    end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=actor, runtime=runtime)
    db.session.rollback()
    return db.session.get_one(AccessRequest, request_id)


def stop(*, runtime: Runtime) -> Standing:
    """Heal the directory and remove what is left at once; return how it stands then.

    Raises
    ------
    Conflict
        When there never was a drill.
    """
    instance_id = _instance_id()
    set_fault(instance_id, None, until=runtime.now())
    ending = select(AccessRequest.id).where(
        AccessRequest.instance_id == instance_id, AccessRequest.state == State.ENDING
    )
    for request_id in db.session.scalars(ending).all():
        _make_due(request_id, runtime)
        deprovision(request_id=request_id, runtime=runtime)
    for leftover_id in db.session.scalars(select(Leftover.id).where(Leftover.instance_id == instance_id)).all():
        leftovers.remove(leftover_id=leftover_id, runtime=runtime, now_due=True)
    return status(runtime=runtime)


def status(*, runtime: Runtime) -> Standing:
    """Return how the drill stands.

    Raises
    ------
    Conflict
        When there never was one.
    """
    instance_id = _instance_id()
    fault = db.session.get(Drill, instance_id)
    lasts = fault is not None and fault.until > runtime.now()
    going_on = select(AccessRequest).where(AccessRequest.instance_id == instance_id, AccessRequest.state != State.ENDED)
    return Standing(
        left=tuple(drill.left(instance_id)),
        fault=Fault(fault.fault) if fault is not None and lasts else None,
        until=fault.until if fault is not None and lasts else None,
        requests=tuple(db.session.scalars(going_on.order_by(AccessRequest.id))),
    )


def _instance_id() -> int:
    db.session.rollback()
    ours = (VirtualInstance.web_id == WEB_ID, VirtualInstance.connector == DRILL)
    found = db.session.scalar(select(VirtualInstance.id).where(*ours))
    if found is None:
        raise Conflict("There was no drill here yet. Begin with: tempadmin drill start")
    return found


def _make_due(request_id: int, runtime: Runtime) -> None:
    with transaction(as_service=True):
        request = locked(request_id)
        if request.state == State.ENDING:
            request.next_attempt_at = runtime.now()
