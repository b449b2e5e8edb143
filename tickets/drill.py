"""Drills: a directory with a fault, met by the same use cases and jobs as any other; in the end nothing may be left.

``walk`` takes one access through one fault, with time passed in: the tests do so for every fault, and so does
``tempadmin drill run`` in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from instances.connectors.drill import DRILL, Fault, set_fault
from instances.models import DrillAccount, VirtualInstance
from instances.registry import add_instance
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.errors import Conflict
from tempadmin.runtime import Runtime
from tickets.end import end_access
from tickets.leftover_model import Leftover
from tickets.leftovers import LEFTOVERS
from tickets.models import AccessRequest
from tickets.provision import provision
from tickets.queries import needs_attention
from tickets.request import request_access
from tickets.retry import go_on
from tickets.states import OPEN, EndReason, State

LASTS = timedelta(minutes=20)
GIVES_UP = timedelta(days=1)
REASON = "A drill: nobody enters, and nobody is concerned."


class Phase(StrEnum):
    """When the directory begins to have its fault."""

    MAKING = "making"
    REMOVING = "removing"


def phases_of(fault: Fault) -> tuple[Phase, ...]:
    """Return when a fault matters: what is about an entry's making leaves its removal as it is."""
    return (Phase.MAKING,) if fault in {Fault.OTHER_ID, Fault.TWICE} else tuple(Phase)


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What one access met."""

    fault: Fault
    phase: Phase
    made: bool
    """Whether its account was made in spite of the fault."""
    failures: int
    """How often making and removing it failed."""
    attention_after: timedelta | None
    """How long after its end it stood under Needs attention; ``None`` when it never did."""
    gone_after: timedelta
    """How long after its end it was known to be gone."""
    left: tuple[str, ...]
    """The accounts that are still in the directory; none, or the drill has failed."""


def open_directory(*, web_id: str, name: str, host: str, actor: Actor, runtime: Runtime) -> int:
    """Create the instance of a drill directory, or find it again; return its id.

    Raises
    ------
    Conflict
        When the web id is another instance's, or it was archived.
    """
    with transaction() as session:
        found = session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == web_id)).one_or_none()
        if found is None:
            row = add_instance(web_id=web_id, name=name, host=host, actor=actor, now=runtime.now(), runtime=runtime)
            session.get_one(VirtualInstance, row).connector = DRILL
            return row
        if found.connector != DRILL or found.archived_at is not None:
            raise Conflict(f"The instance {web_id} is no drill directory in use, and stays as it is.")
        return found.id


def walk(
    fault: Fault,
    phase: Phase,
    *,
    web_id: str,
    requester: Actor,
    runtime: Runtime,
    advance: Callable[[timedelta], object],
) -> Walked:
    """Ask, make, end and remove one account; the directory has the fault for 20 minutes from that phase on.

    Parameters
    ----------
    requester
        An omniadmin with no open request at this instance.
    advance
        Lets time pass: nothing here waits.
    """
    host = f"{web_id}.drill.invalid"
    instance_id = open_directory(web_id=web_id, name=web_id, host=host, actor=requester, runtime=runtime)
    if phase is Phase.MAKING:
        set_fault(instance_id, fault, until=runtime.now() + LASTS)
    request_id = ask(requester_id=requester.id or 0, web_id=web_id, runtime=runtime)
    provision(request_id=request_id, runtime=runtime)
    _until(lambda: _read(request_id).state != State.PROVISIONING, instance_id, runtime, advance)
    if phase is Phase.REMOVING:
        set_fault(instance_id, fault, until=runtime.now() + LASTS)
    if _read(request_id).state in OPEN:
        end_access(request_id=request_id, reason=EndReason.CANCELLED, actor=requester, runtime=runtime)
    ended_at = _read(request_id).ending_at or runtime.now()
    stuck: list[datetime] = []

    def is_over() -> bool:
        now = runtime.now()
        if not stuck and needs_attention(_read(request_id), now=now):
            stuck.append(now)
        return _read(request_id).state == State.ENDED and not left(instance_id)

    _until(is_over, instance_id, runtime, advance)
    request = _read(request_id)
    return Walked(
        fault=fault,
        phase=phase,
        made=request.provisioned_at is not None,
        failures=request.removal_failures + max(0, request.create_attempts - (request.provisioned_at is not None)),
        attention_after=stuck[0] - ended_at if stuck else None,
        gone_after=runtime.now() - ended_at,
        left=tuple(left(instance_id)),
    )


def ask(*, requester_id: int, web_id: str, runtime: Runtime) -> int:
    """Ask for access to a drill directory, for no longer than any policy allows; return the request's id.

    Raises
    ------
    Forbidden, Conflict, RateLimited
        As ``request_access``; also when somebody has to say yes first.
    """
    asked = request_access(
        requester_id=requester_id,
        web_id=web_id,
        reason=REASON,
        external_ticket=None,
        duration=min(timedelta(minutes=15), runtime.settings.max_duration),
        runtime=runtime,
    )
    if asked.pending:
        raise Conflict(
            f"Every access wants a yes here, drills included: have request {asked.public_id} approved, "
            "press Start on its page, and run this again."
        )
    return asked.id


def left(instance_id: int) -> list[str]:
    """Return what a drill directory holds, seen or not yet, and what is noted as a leftover of it."""
    db.session.rollback()
    entries = select(DrillAccount.name).where(DrillAccount.instance_id == instance_id)
    there = entries.where(DrillAccount.gone_at.is_(None)).order_by(DrillAccount.id)
    noted = select(Leftover.account_name).where(Leftover.instance_id == instance_id)
    return [*db.session.scalars(there), *db.session.scalars(noted)]


def _until(
    done: Callable[[], bool], instance_id: int, runtime: Runtime, advance: Callable[[timedelta], object]
) -> None:
    """Run the removal job whenever something is due, until it is done; a day is more than any pause."""
    deadline = runtime.now() + GIVES_UP
    while not done() and runtime.now() < deadline:
        advance(_pause(instance_id, runtime.now()))
        go_on([LEFTOVERS], runtime)
        db.session.rollback()


def _pause(instance_id: int, now: datetime) -> timedelta:
    """Return how long nothing is due, as the job sees it that looks every five seconds."""
    requests = select(AccessRequest.next_attempt_at).where(
        AccessRequest.instance_id == instance_id, AccessRequest.next_attempt_at.is_not(None)
    )
    leftovers = select(Leftover.next_attempt_at).where(Leftover.instance_id == instance_id)
    due = [*db.session.scalars(requests), *db.session.scalars(leftovers)]
    step = timedelta(seconds=5)
    return max(step, min((at - now for at in due if at is not None), default=step))


def _read(request_id: int) -> AccessRequest:
    db.session.rollback()
    return db.session.get_one(AccessRequest, request_id)
