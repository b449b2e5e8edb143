"""Leftovers: accounts that must go and belong to no request that is being removed (P1).

A late create whose removal failed, an account found in a directory after its request had ended, one that only our
marker knows: each is noted first, then removed, for ever with growing, jittered pauses, and called gone only when its
directory says so (P11). Whoever dies in between leaves the note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.exc import OperationalError

from instances.connectors.base import Account, ConnectorError
from instances.connectors.registry import connector_for
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, lock, transaction
from tempadmin.failpoints import reach
from tempadmin.runtime import Runtime
from tickets.lanes import Kind, Place, Waiting, go_through
from tickets.leftover_model import Leftover
from tickets.models import AccessRequest
from tickets.queries import STUCK_AFTER, STUCK_FAILURES
from tickets.removal import timeout_of
from tickets.removal_outcome import growing_pause
from tickets.states import State

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class LeftoverFigures:
    """How the leftovers stand."""

    waiting: int
    stuck: int
    """Those that need attention (P11)."""
    failed_attempts: int
    oldest_seconds: float
    """Since when the oldest is known; 0 when there is none."""


def note(account: Account, *, connector: str, why: str, runtime: Runtime) -> int | None:
    """Note that an account must go, once; return its leftover's id.

    ``None`` while its request has not ended: that one's own removal goes on with it. What has ended never opens again,
    so the answer stays right after the lock is gone.
    """
    with transaction(as_service=True) as session:
        request = lock(AccessRequest, account.request_id)
        if request is not None and request.state != State.ENDED:
            return None
        now = runtime.now()
        known = select(Leftover.id).where(
            Leftover.instance_id == account.instance_id, Leftover.account_name == account.name
        )
        present = session.scalar(known)
        return add_note(account, connector=connector, why=why, now=now, due=now) if present is None else present


def add_note(account: Account, *, connector: str, why: str, now: datetime, due: datetime) -> int:
    """Add a note to the open transaction; return its id. The job leaves the account alone until it is due."""
    leftover = Leftover(
        instance_id=account.instance_id,
        connector=connector,
        account_name=account.name,
        account_email=account.email,
        marker=account.marker,
        user_id=account.user_id,
        request_id=account.request_id,
        why=why,
        found_at=now,
        next_attempt_at=due,
    )
    db.session.add(leftover)
    db.session.flush()
    _record("access.leftover_found", leftover, now, why=why)
    return leftover.id


def remove(*, leftover_id: int, runtime: Runtime, now_due: bool = False) -> bool:
    """Try once to remove a leftover; return whether it is known to be gone.

    Parameters
    ----------
    now_due
        Do not wait for the pause after a failure.
    """
    claimed = _claim(leftover_id, runtime, now_due=now_due)
    if claimed is None:
        return False
    account, connector = claimed
    try:
        reach("before remove")
        connector_for(connector).remove(account)
        reach("after remove")
    except ConnectorError as error:
        _postpone(leftover_id, error=str(error), runtime=runtime)
        return False
    except OperationalError:
        raise
    except Exception as error:
        log.exception("leftover.not_removed", account=account.name)
        _postpone(leftover_id, error=type(error).__name__, runtime=runtime)
        return False
    _gone(leftover_id, runtime)
    return True


def _remove_at(place: Place, runtime: Runtime) -> tuple[int, int]:
    """Go on with the leftover of a place that is due the longest."""
    here = Leftover.connector == place[0], Leftover.instance_id == place[1]
    due = select(Leftover.id).where(*here, Leftover.next_attempt_at <= runtime.now())
    leftover_id = db.session.scalar(due.order_by(Leftover.failures, Leftover.next_attempt_at).limit(1))
    return (0, 0) if leftover_id is None else (1, int(remove(leftover_id=leftover_id, runtime=runtime)))


def _due(now: datetime) -> Iterator[Waiting]:
    where = Leftover.connector, Leftover.instance_id
    times = func.max(Leftover.failures), func.min(Leftover.next_attempt_at)
    places = select(*where, *times).where(Leftover.next_attempt_at <= now).group_by(*where)
    return (Waiting(*row) for row in db.session.execute(places).all())


LEFTOVERS = Kind("leftovers gone", _due, _remove_at)
"""What the removal job goes on with."""


def remove_due(runtime: Runtime) -> int:
    """Go on with every leftover that is due; return how many are gone."""
    return go_through([LEFTOVERS], runtime, meanwhile=Counter).total()


def stuck(now: datetime) -> ColumnElement[bool]:
    """Return the condition of a leftover that needs attention: three failures, or a quarter of an hour (P11)."""
    return or_(Leftover.failures >= STUCK_FAILURES, Leftover.found_at <= now - STUCK_AFTER)


def oldest_first(*, attention_at: datetime | None = None) -> Select[Leftover]:
    """Return the query of leftovers: all, or those that need attention."""
    query = select(Leftover).order_by(Leftover.found_at, Leftover.id)
    return query if attention_at is None else query.where(stuck(attention_at))


def figures(now: datetime) -> LeftoverFigures:
    """Return how the leftovers stand, by one statement; for the metrics and the pages."""
    row = db.session.execute(
        select(
            func.count(),
            func.count(case((stuck(now), 1))),
            func.coalesce(func.sum(Leftover.failures), 0),
            func.min(Leftover.found_at),
        ).select_from(Leftover)
    ).one()
    return LeftoverFigures(
        waiting=row[0],
        stuck=row[1],
        failed_attempts=int(row[2]),
        oldest_seconds=max(0, (now - row[3]).total_seconds()) if row[0] else 0,
    )


def _claim(leftover_id: int, runtime: Runtime, *, now_due: bool) -> tuple[Account, str] | None:
    """Take the next attempt; whoever else looks meanwhile finds it not due."""
    with transaction(as_service=True):
        leftover = lock(Leftover, leftover_id)
        now = runtime.now()
        if leftover is None or (now < leftover.next_attempt_at and not now_due):
            return None
        leftover.next_attempt_at = now + 2 * timeout_of(leftover.connector)
        account = Account(
            instance_id=leftover.instance_id,
            user_id=leftover.user_id,
            request_id=leftover.request_id,
            name=leftover.account_name,
            email=leftover.account_email,
            marker=leftover.marker,
        )
        return account, leftover.connector


def _postpone(leftover_id: int, *, error: str, runtime: Runtime) -> None:
    with transaction(as_service=True):
        leftover = lock(Leftover, leftover_id)
        if leftover is None:
            return
        now = runtime.now()
        leftover.failures += 1
        leftover.last_error = error[:300]
        leftover.next_attempt_at = now + growing_pause(leftover.failures)
        _record("access.leftover_stays", leftover, now, error=leftover.last_error, failures=leftover.failures)


def _gone(leftover_id: int, runtime: Runtime) -> None:
    with transaction(as_service=True) as session:
        leftover = lock(Leftover, leftover_id)
        if leftover is not None:
            _record("access.orphan_removed", leftover, runtime.now())
            session.delete(leftover)


def _record(event: str, leftover: Leftover, now: datetime, **details: str | int | None) -> None:
    known = db.session.get(AccessRequest, leftover.request_id) is not None
    record(
        event,
        instance_id=leftover.instance_id,
        actor=SERVICE,
        at=now,
        request_id=leftover.request_id if known else None,
        account=leftover.account_name,
        **details,
    )
