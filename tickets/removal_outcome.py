"""What becomes of a request after an attempt to remove its account: ended, or postponed and counted (P11).

Each answer is judged under the request's lock; a row that cannot be read spoils nobody else's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import update

from instances.connectors.base import Account
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import is_outage, retried_once, transaction
from tempadmin.runtime import Runtime
from tickets.machine import locked_all, move_rows
from tickets.models import AccessRequest
from tickets.states import State

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
NO_WORD = "nothing is known of what became of it"
UNREADABLE = "this request cannot be read; run tempadmin doctor"

log = structlog.get_logger()

Said = Mapping[int, str | None]
"""What a directory said, by request: why an account is not known to be gone, or ``None`` when it is."""


@dataclass(frozen=True)
class Removal:
    """One removal of a batch that was claimed."""

    request_id: int
    account: Account | None
    """``None`` when the row names none: somebody changed it by hand."""
    counts: bool
    """Whether a read-back made from now on proves the end: no create can take effect any more."""


def growing_pause(failures: int) -> timedelta:
    """Return how long to wait after so many failures: from 5 s to an hour, jittered (P11)."""
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(failures - 1, 12), LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, hides nothing


def finish(requests: Sequence[Any], *, reason: str | None = None, now: datetime) -> None:
    """Call locked requests ended in the open transaction: nothing is left of them.

    Parameters
    ----------
    requests
        Rows or mapped ones; these are not told of it.
    reason
        Why they ended, where that was only now said.
    """
    if not requests:
        return
    done = {"ended_at": now, "next_attempt_at": None, "attempt_deadline": None, "last_error": None}
    move_rows([request.id for request in requests], State.ENDING, State.ENDED, now=now, **done)
    for request in requests:
        record(
            "access.ended",
            instance_id=request.instance_id,
            actor=SERVICE,
            at=now,
            request_id=request.id,
            reason=reason or request.end_reason,
            account=request.account_name,
        )


def settle_all(removals: Sequence[Removal], said: Said, runtime: Runtime) -> int:
    """Commit what the directory said of a batch; where a row spoils that, of each alone. Return how many ended."""
    try:
        return _settle(removals, said, runtime)
    except Exception as error:
        if is_outage(error):
            raise
        if len(removals) > 1:
            return sum(settle_all([removal], said, runtime) for removal in removals)
        log.exception("removal.not_settled", request_id=removals[0].request_id)
        _set_aside(removals[0].request_id, runtime)
        return 0


@retried_once
def _settle(removals: Sequence[Removal], said: Said, runtime: Runtime) -> int:
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
