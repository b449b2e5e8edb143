"""One attempt to remove a batch of accounts (P11); what becomes of each request is ``removal_outcome``'s.

An attempt has three steps, and whoever dies between two of them leaves a removal that is due again: the claim is
committed, what comes before (``before_removal``) is done and the directory called, the answer is committed. Never is
*done* said before the account was read back as gone, and that after the last create returned or could no longer take
effect (design §2, *a late create*).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, or_, select, update

from instances.connectors import patience
from instances.connectors.base import Account, ConnectorError, Entry
from instances.connectors.registry import connector_for
from tempadmin.clock import steady_seconds
from tempadmin.db import db, retried_once, transaction
from tempadmin.failpoints import reach
from tempadmin.jobs import may_go_on, somebody_waits
from tempadmin.runtime import Runtime, current_runtime
from tickets import before_removal, removal_at_once
from tickets.accounts import account
from tickets.batches import Pace, in_turn, leaving_room
from tickets.models import AccessRequest
from tickets.removal_at_once import ToRemove
from tickets.removal_outcome import FIRST_PAUSE, NO_WORD, Removal, Said, settle_all
from tickets.states import State

WITHOUT_CONNECTOR = MOST_IN_A_REQUEST = 50
IN_A_REQUEST = timedelta(seconds=5)
"""What all directories together may cost somebody who waits for a page."""
QUICK_SECONDS = 1.0

log = structlog.get_logger()


def deprovision(*, request_id: int, runtime: Runtime) -> bool:
    """Try to remove the account of a request that is ending, if that is due; return whether it ended."""
    name = db.session.scalar(select(AccessRequest.connector).where(AccessRequest.id == request_id))
    return name is not None and attempt(name, AccessRequest.id == request_id, runtime, wait=True) == (1, 1)


def of_ending(requests: Iterable[Any]) -> list[ToRemove]:
    """Return what is to be removed of requests that are ending: nothing where no create was ever attempted."""
    return [ToRemove(one.id, one.connector, one.entry, one.subject_id) for one in requests if one.create_attempts]


def try_quietly(these: Sequence[ToRemove], *, pace: Pace | None = None) -> None:
    """Right after the commit that ended them: one batch of each connector's, the rest is the job's.

    A directory on a bad day must neither spoil the answer nor hold it up for longer than ``IN_A_REQUEST``: what is here
    goes first, another one elsewhere is asked only while those before were quick. Where nobody waits, all of what may
    take long is left to the job.
    """
    began, by_connector = steady_seconds(), defaultdict[str, list[ToRemove]](list)
    for one in these:
        if somebody_waits() or one.entry != Entry.OIDC:
            by_connector[one.connector].append(one)
    try:
        with patience.at_most(IN_A_REQUEST):
            for name in sorted(by_connector, key=is_elsewhere):
                if is_elsewhere(name) and (not somebody_waits() or steady_seconds() - began > QUICK_SECONDS):
                    return
                if pace is None:
                    remove_some(by_connector[name][:MOST_IN_A_REQUEST], current_runtime(), wait=True)
                else:
                    remove_all(by_connector[name], current_runtime(), pace, wait=True)
    except Exception:
        db.session.rollback()
        log.exception("removal.not_tried", request_ids=[one.request_id for one in these])


def remove_all(these: Sequence[ToRemove], runtime: Runtime, pace: Pace, *, wait: bool) -> int:
    """Remove accounts of one connector, however many, in transactions that hold up nobody; return how many are gone."""
    removed = 0
    for some in pace.evenly(these):
        if not may_go_on():
            break
        with leaving_room():
            removed += remove_some(some, runtime, wait=wait, pace=pace)
    return removed


def remove_some(these: Sequence[ToRemove], runtime: Runtime, *, wait: bool, pace: Pace | None = None) -> int:
    """Remove accounts of one connector, at once where that is possible; return how many requests ended."""
    if (ended := removal_at_once.remove(these, runtime, wait=wait, pace=pace)) is not None:
        return ended
    which = AccessRequest.id.in_([one.request_id for one in these])
    return _attempt_by_steps(these[0].connector, which, runtime, wait=wait)[1]


def attempt(name: str, which: ColumnElement[bool], runtime: Runtime, *, wait: bool = False) -> tuple[int, int]:
    """Try to remove one batch of what is due, whatever its directory.

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
    if not is_elsewhere(name):
        these = removal_at_once.candidates(due(runtime.now(), name) & which, _most_at_once(name))
        ended = removal_at_once.remove(these, runtime, wait=wait) if these else 0
        if ended is not None:
            return ended, ended
    return _attempt_by_steps(name, which, runtime, wait=wait)


def _attempt_by_steps(name: str, which: ColumnElement[bool], runtime: Runtime, *, wait: bool) -> tuple[int, int]:
    """Claim one batch of what is due, ask its directory, commit the answer; returns as ``attempt``."""
    which = due(runtime.now(), name) & which
    with in_turn(unless=wait):
        removals = _claim(which, 2 * timeout_of(name), _most_at_once(name), runtime, wait=wait)
    if not removals:
        return 0, 0
    lasts = 1.6 * timeout_of(name)  # over before it is due again, and before a process that stops is given up
    with leaving_room(unless=len(removals) == 1), patience.at_most(lasts):
        unfinished = before_removal.do_all([removal.request_id for removal in removals], runtime)
        said = {one: word or unfinished.get(one) for one, word in _ask(name, removals).items()}
    with in_turn(unless=wait):
        return len(removals), settle_all(removals, said, runtime)


def is_elsewhere(name: str) -> bool:
    """Tell whether a connector's directory may let its callers wait; one that is missing says so at once."""
    try:
        connector = connector_for(name)
    except ConnectorError:
        return False
    return connector.elsewhere or connector.batch == 1


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


@retried_once
def _claim(which: ColumnElement[bool], lasts: timedelta, size: int, runtime: Runtime, *, wait: bool) -> list[Removal]:
    """Take the next attempt of what is due; whoever else looks meanwhile finds it not due.

    No moment is read here: one row that cannot be read must not keep the others of its batch (S36).
    """
    with transaction(as_service=True) as session:
        least = AccessRequest.removal_failures, AccessRequest.next_attempt_at, AccessRequest.id
        order = (AccessRequest.id,) if wait else least
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
        return [Removal(row[0], account(*row), row[0] in counts) for row in rows]


def _ask(name: str, removals: Sequence[Removal]) -> Said:
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
