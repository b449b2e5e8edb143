"""Making the temporary account: the intent is committed, the connector called, the outcome committed (design §2).

Whoever dies between two of these steps leaves a state from which the job goes on: ``provisioning`` with an attempt
whose deadline passes. Whoever comes back too late finds another state, and removes what it made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, in_transaction, is_outage, transaction
from tempadmin.errors import Conflict
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets import leftovers, notices, tokens
from tickets.accounts import account_of
from tickets.end import begin_ending
from tickets.machine import locked, move
from tickets.models import CONFIRM, AccessRequest
from tickets.reserve import reserve
from tickets.states import OPEN, EndReason, State

ATTEMPTS = 3
WINDOW = timedelta(seconds=60)
PAUSE = timedelta(seconds=5)

log = structlog.get_logger()


@dataclass(frozen=True)
class _Attempt:
    account: Account
    connector: str
    number: int


def provision(*, request_id: int, runtime: Runtime) -> bool:
    """Try once to make the account of a request in ``provisioning``; return whether it now awaits confirmation.

    A transient failure is tried again by the job: three tries within 60 s, then the request ends.
    """
    attempt = _begin(request_id, runtime)
    if attempt is None:
        return False
    try:
        reach("before create")
        connector_for(attempt.connector).create(attempt.account, still_wanted=lambda: _still_wanted(request_id))
        reach("after create")
    except Conflict:
        _create_returned(request_id, attempt, runtime)
        return False
    except ConnectorError as error:
        _failed(request_id, attempt, error=str(error), permanent=error.permanent, runtime=runtime)
        return False
    except Exception as error:
        log.exception("provisioning.failed", request_id=request_id)
        _failed(request_id, attempt, error=type(error).__name__, permanent=False, runtime=runtime)
        return False
    if _succeeded(request_id, runtime):
        return True
    if _is_unwanted(request_id):
        why = "it was made after its request had ended"
        remove_unwanted(attempt.account, attempt.connector, why=why, runtime=runtime)
        _create_returned(request_id, attempt, runtime)
    return False


def provision_quietly(*, request_id: int, runtime: Runtime) -> None:
    """As ``provision``, right after the commit that wants it: that stands, whatever happens to the database now."""
    try:
        provision(request_id=request_id, runtime=runtime)
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        db.session.rollback()
        log.warning("provisioning.not_tried", request_id=request_id, error=type(error).__name__)


def _begin(request_id: int, runtime: Runtime) -> _Attempt | None:
    """Commit the intent: the reserved account row, the attempt's number, and until when it may take effect."""
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.PROVISIONING or request.next_attempt_at is None or now < request.next_attempt_at:
            return None
        started = request.provisioning_at or now
        if request.create_attempts >= ATTEMPTS or (request.create_attempts and now - started >= WINDOW):
            begin_ending(request, reason=EndReason.PROVISIONING_FAILED, actor=SERVICE, now=now)
            return None
        try:
            timeout = connector_for(request.connector).timeout
        except ConnectorError as error:  # nothing was attempted, and nothing can be
            log.warning("provisioning.impossible", request_id=request_id, error=str(error))
            begin_ending(request, reason=EndReason.PROVISIONING_FAILED, actor=SERVICE, now=now)
            return None
        if request.subject_id is None:
            reserved = reserve(request, now=now, runtime=runtime)
            request.subject_id, request.account_name, request.account_email = reserved
        request.create_attempts += 1
        request.attempt_deadline = now + 2 * timeout
        request.next_attempt_at = request.attempt_deadline
        return _Attempt(account_of(request), request.connector, request.create_attempts)


def _still_wanted(request_id: int) -> None:
    """Require that a request is still provisioning.

    Inside a connector's own transaction its row is held until that commits. A remote connector has none, and asks just
    before it sends: it only looks, or the lock would last as long as the directory takes (seen on PostgreSQL).

    Raises
    ------
    Conflict
        When it was ended meanwhile.
    """
    if in_transaction():
        state = locked(request_id).state
    else:
        state = db.session.get_one(AccessRequest, request_id, populate_existing=True).state
        db.session.rollback()
    if state != State.PROVISIONING:
        raise Conflict("This request was ended while its account was being made.")


def _succeeded(request_id: int, runtime: Runtime) -> bool:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.state != State.PROVISIONING:
            return False
        await_confirmation(request, now=now, runtime=runtime)
        record_made(request, now=now)
    return True


def record_made(request: AccessRequest, *, now: datetime) -> None:
    """Have the record say that the account was made."""
    record(
        "access.provisioned",
        instance_id=request.instance_id,
        actor=SERVICE,
        at=now,
        request_id=request.id,
        account=request.account_name,
    )


def await_confirmation(request: AccessRequest, *, now: datetime, runtime: Runtime, **besides: Any) -> None:
    """Move a locked request to ``awaiting_confirmation`` in the open transaction: its confirm ticket runs from now.

    Parameters
    ----------
    besides
        What else the same UPDATE says of the request.
    """
    move(
        request,
        State.AWAITING_CONFIRMATION,
        now=now,
        provisioned_at=now,
        attempt_deadline=None,
        next_attempt_at=None,
        last_error=None,
        **besides,
    )
    expires_at = now + runtime.settings.ticket_ttl
    key = tokens.issue_first(request_id=request.id, purpose=CONFIRM, now=now, expires_at=expires_at, runtime=runtime)
    if runtime.settings.confirms_by_mail:
        notices.send_confirmation(request, key=key, expires_at=expires_at, now=now, runtime=runtime)


def _failed(request_id: int, attempt: _Attempt, *, error: str, permanent: bool, runtime: Runtime) -> None:
    with transaction(as_service=True):
        request = locked(request_id)
        now = runtime.now()
        if request.create_attempts == attempt.number:
            request.attempt_deadline = None if permanent else request.attempt_deadline
        if request.state != State.PROVISIONING:
            return
        record(
            "access.provisioning_failed",
            instance_id=request.instance_id,
            actor=SERVICE,
            at=now,
            request_id=request.id,
            error=error[:300],
            attempt=attempt.number,
        )
        if permanent or attempt.number >= ATTEMPTS:
            begin_ending(request, reason=EndReason.PROVISIONING_FAILED, actor=SERVICE, now=now)
        else:
            request.next_attempt_at = now + PAUSE
        request.last_error = error[:300]


def _is_unwanted(request_id: int) -> bool:
    """Tell whether what was made has no owner; a slower twin of a create that won leaves its account alone."""
    with transaction(as_service=True):
        return State(locked(request_id).state) not in OPEN


def _create_returned(request_id: int, attempt: _Attempt, runtime: Runtime) -> None:
    """The newest attempt came back and left nothing: the end need not wait for its deadline."""
    with transaction(as_service=True):
        request = locked(request_id)
        if request.state == State.ENDING and request.create_attempts == attempt.number:
            request.attempt_deadline, request.next_attempt_at = None, runtime.now()


def remove_unwanted(account: Account, connector: str, *, why: str, runtime: Runtime) -> None:
    """Remove what a lost race made, or let in.

    While its request is ending, the removal job does it too; where that has ended already, a note makes sure.
    """
    leftover_id = leftovers.note(account, connector=connector, why=why, runtime=runtime)
    if leftover_id is not None:
        leftovers.remove(leftover_id=leftover_id, runtime=runtime)
        return
    try:
        reach("before remove")
        connector_for(connector).remove(account)
        reach("after remove")
    except ConnectorError as error:
        log.warning("removal.of_unwanted_failed", account=account.name, error=str(error))
