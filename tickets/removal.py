"""One attempt to remove a batch of accounts, and what becomes of each request (P11).

An attempt has three steps, and whoever dies between two of them leaves a removal that is due again: the claim is
committed, the directory called, its answer committed. Never is *done* said before the account was read back as gone,
and that after the last create returned or could no longer take effect (design §2, *a late create*).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, or_, select, update

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, is_outage, retried_once, transaction
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime, current_runtime
from tickets.accounts import account
from tickets.batches import leaving_room
from tickets.machine import locked_all, move_all
from tickets.models import AccessRequest
from tickets.states import State

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
WITHOUT_CONNECTOR = 50
NO_WORD = "nothing is known of what became of it"
UNREADABLE = "this request cannot be read; run tempadmin doctor"

log = structlog.get_logger()

Said = Mapping[int, str | None]
"""What a directory said, by request: why an account is not known to be gone, or ``None`` when it is."""


@dataclass(frozen=True)
class _Removal:
    request_id: int
    account: Account | None
    """``None`` when the row names none: somebody changed it by hand."""
    counts: bool
    """Whether a read-back made from now on proves the end: no create can take effect any more."""


def deprovision(*, request_id: int, runtime: Runtime) -> bool:
    """Try to remove the account of a request that is ending, if that is due; return whether it ended."""
    name = db.session.scalar(select(AccessRequest.connector).where(AccessRequest.id == request_id))
    return name is not None and attempt(name, AccessRequest.id == request_id, runtime, wait=True) == (1, 1)


def try_quietly(request_ids: Sequence[int]) -> None:
    """Right after the commit that ended them: one batch of each connector's, the rest is the job's.

    A directory on a bad day must neither spoil the answer nor hold it up for longer than one call.
    """
    these = AccessRequest.id.in_(request_ids)
    try:
        for name in db.session.scalars(select(AccessRequest.connector).where(these).distinct()).all():
            attempt(name, these, current_runtime(), wait=True)
    except Exception:
        db.session.rollback()
        log.exception("removal.not_tried", request_ids=list(request_ids))


def attempt(name: str, which: ColumnElement[bool], runtime: Runtime, *, wait: bool = False) -> tuple[int, int]:
    """Claim one batch of what is due, ask its directory, commit the answer.

    Parameters
    ----------
    name
        The connector.
    wait
        Wait for rows that a rival holds, instead of leaving them to it.

    Returns
    -------
    How many removals were tried, and how many requests ended.
    """
    which = due(runtime.now(), name) & which
    removals = _claim(which, 2 * timeout_of(name), _most_at_once(name), runtime, wait=wait)
    if not removals:
        return 0, 0
    with leaving_room(unless=len(removals) == 1):
        said = _ask(name, removals)
    return len(removals), _settle_all(removals, said, runtime)


def growing_pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures: from 5 s to an hour, jittered (P11)."""
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(failures - 1, 12), LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, hides nothing


def timeout_of(name: str) -> timedelta:
    """Return how long a call of a connector may take; one that is missing fails at once."""
    try:
        return connector_for(name).timeout
    except ConnectorError:  # the attempt itself will say so, and be noted as a failure
        return FIRST_PAUSE


def _most_at_once(name: str) -> int:
    try:
        return connector_for(name).batch
    except ConnectorError:
        return WITHOUT_CONNECTOR


def due(now: datetime, name: str | None = None) -> ColumnElement[bool]:
    """Return the condition of a removal whose next attempt is due; not where somebody says that they did it by hand."""
    is_due = (AccessRequest.state == State.ENDING) & (AccessRequest.next_attempt_at <= now)
    is_due &= AccessRequest.removed_by_hand_at.is_(None)
    return is_due if name is None else is_due & (AccessRequest.connector == name)


def finish(requests: Sequence[AccessRequest], *, now: datetime) -> None:
    """Call locked requests ended in the open transaction: nothing is left of them."""
    move_all(requests, State.ENDED, now=now, ended_at=now, next_attempt_at=None, attempt_deadline=None, last_error=None)
    for request in requests:
        record(
            "access.ended",
            instance_id=request.instance_id,
            actor=SERVICE,
            at=now,
            request_id=request.id,
            reason=request.end_reason,
            account=request.account_name,
        )


@retried_once
def _claim(which: ColumnElement[bool], lasts: timedelta, size: int, runtime: Runtime, *, wait: bool) -> list[_Removal]:
    """Take the next attempt of what is due; whoever else looks meanwhile finds it not due.

    No moment is read here: one row that cannot be read must not keep the others of its batch (S36).
    """
    with transaction(as_service=True) as session:
        order = (AccessRequest.id,) if wait else (AccessRequest.next_attempt_at, AccessRequest.id)
        free = select(AccessRequest.id).where(which).order_by(*order).limit(size).with_for_update(skip_locked=not wait)
        ids = session.scalars(free).all()
        now = runtime.now()
        no_create = or_(AccessRequest.attempt_deadline.is_(None), AccessRequest.attempt_deadline <= now)
        counts = set(session.scalars(select(AccessRequest.id).where(AccessRequest.id.in_(ids), no_create)))
        claim = update(AccessRequest).where(AccessRequest.id.in_(ids), due(now))
        taken = claim.values(next_attempt_at=now + lasts).returning(
            AccessRequest.id,
            AccessRequest.public_id,
            AccessRequest.instance_id,
            AccessRequest.subject_id,
            AccessRequest.account_name,
            AccessRequest.account_email,
        )
        rows = session.execute(taken, execution_options={"synchronize_session": False})
        return [_Removal(row[0], account(*row), row[0] in counts) for row in rows]


def _ask(name: str, removals: Sequence[_Removal]) -> Said:
    """Have a directory remove accounts, outside any transaction."""
    accounts = [removal.account for removal in removals if removal.account is not None]
    if len(accounts) == 1:
        return _ask_for_one(name, accounts[0])
    try:
        reach("before remove_many")
        said = connector_for(name).remove_many(accounts)
        reach("after remove_many")
    except ConnectorError as error:
        return {one.request_id: str(error) for one in accounts}
    except Exception:
        # One account that a connector stumbles over must not keep the others of its batch.
        log.exception("removal.batch_failed", connector=name)
        return {request_id: word for one in accounts for request_id, word in _ask_for_one(name, one).items()}
    words = {one.request_id: said.get(one.user_id, ConnectorError(NO_WORD)) for one in accounts}
    return {request_id: None if error is None else str(error) for request_id, error in words.items()}


def _ask_for_one(name: str, one: Account) -> Said:
    try:
        reach("before remove")
        connector_for(name).remove(one)
        reach("after remove")
    except ConnectorError as error:
        return {one.request_id: str(error)}
    except Exception as error:
        log.exception("removal.failed", request_id=one.request_id)
        return {one.request_id: type(error).__name__}
    return {one.request_id: None}


def _settle_all(removals: Sequence[_Removal], said: Said, runtime: Runtime) -> int:
    """Commit what the directory said of a batch; where a row spoils that, of each alone. Return how many ended."""
    try:
        return _settle(removals, said, runtime)
    except Exception as error:
        if is_outage(error):
            raise
        if len(removals) > 1:
            return sum(_settle_all([removal], said, runtime) for removal in removals)
        log.exception("removal.not_settled", request_id=removals[0].request_id)
        _set_aside(removals[0].request_id, runtime)
        return 0


@retried_once
def _settle(removals: Sequence[_Removal], said: Said, runtime: Runtime) -> int:
    gone: list[AccessRequest] = []
    with transaction(as_service=True):
        requests = locked_all([removal.request_id for removal in removals])
        now = runtime.now()
        for removal in removals:
            request = requests.get(removal.request_id)
            if request is None or request.state != State.ENDING:
                continue
            error = said.get(request.id, NO_WORD)
            if error is not None:
                _postpone(request, error=error, now=now)
            elif not removal.counts:
                request.next_attempt_at = request.attempt_deadline or now
            else:
                gone.append(request)
        finish(gone, now=now)
    return len(gone)


def _postpone(request: AccessRequest, *, error: str, now: datetime) -> None:
    request.removal_failures += 1
    request.last_error = error[:300]
    request.next_attempt_at = now + growing_pause(request.removal_failures)
    record(
        "access.removal_failed",
        instance_id=request.instance_id,
        actor=SERVICE,
        at=now,
        request_id=request.id,
        error=request.last_error,
        failures=request.removal_failures,
    )


def _set_aside(request_id: int, runtime: Runtime) -> None:
    """Look at a request that cannot be read again after the longest pause: a person has to mend its row (S36)."""
    with transaction(as_service=True) as session:
        ending = update(AccessRequest).where(AccessRequest.id == request_id, AccessRequest.state == State.ENDING)
        counted = {"removal_failures": AccessRequest.removal_failures + 1, "last_error": UNREADABLE}
        later = ending.values(next_attempt_at=runtime.now() + LONGEST_PAUSE, **counted)
        session.execute(later, execution_options={"synchronize_session": False})
