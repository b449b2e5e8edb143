"""The clean-up job: the daily sweep of whatever the other paths left behind, reconciliation included.

It has no power of its own: it finds, says why, and then calls the same guarded ends and removals as every other
path, each of which looks again under lock. A session that works within its limits is never touched (P10), and a
directory that does not answer holds up nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tempadmin.db import db, transaction
from tempadmin.runtime import Runtime
from tickets import astray, directories, reconcile
from tickets.expire import end_if_over, why_over
from tickets.lanes import Place, side_by_side
from tickets.machine import locked
from tickets.models import AccessRequest
from tickets.removal import deprovision, is_elsewhere
from tickets.states import State

ONLY_TOLD = frozenset({"unproven", "silent"})

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Remnant:
    """Something that the other paths left behind, and why it should not be."""

    account_name: str
    since: datetime | None
    why: str
    kind: str
    """``over`` (to be ended), ``ending`` (a removal to go on with), ``orphan`` (an account without a right to be),
    ``gone`` (a request without its account), ``session``, ``ticket``, ``unproven`` and ``silent`` (only told of)."""
    act: Callable[[Runtime], bool] | None = None
    """Mends it and tells whether that is done; ``None`` where nobody should."""
    place: Place | None = None
    """Whose directory is asked for that; ``None`` where nobody is."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep came to."""

    gone: int
    found: int
    """What there was to mend."""
    told: tuple[str, ...]
    """What was left alone, in words: accounts that are not proven ours, directories that did not answer."""


def find_leftovers(*, min_age: timedelta, runtime: Runtime) -> Iterator[Remnant]:
    """Yield what is left over, oldest first within each kind; writes nothing.

    Parameters
    ----------
    min_age
        What younger requests and accounts are about is left to the other paths.
    """
    before = runtime.now() - min_age
    yield from _over(before)
    yield from _ending(before)
    yield from _orphans(before)
    yield from _without_a_request()
    yield from _elsewhere(before, runtime)


def sweep(*, min_age: timedelta, runtime: Runtime) -> Swept:
    """Mend what can be mended; one that fails keeps none of the others, and a place that hangs no other place."""
    found = list(find_leftovers(min_age=min_age, runtime=runtime))
    lanes: dict[Place | None, list[Remnant]] = defaultdict(list)
    for remnant in found:
        lanes[remnant.place if remnant.place and is_elsewhere(remnant.place[0]) else None].append(remnant)
    here = lanes.pop(None, [])
    gone = sum(side_by_side(lanes.values(), lambda lane: sum(_act(remnant, runtime) for remnant in lane)))
    gone += sum(_act(remnant, runtime) for remnant in here)
    told = tuple(f"{one.account_name}: {one.why}" for one in found if one.kind in ONLY_TOLD)
    return Swept(gone=gone, found=len(found) - len(told), told=told)


def _act(remnant: Remnant, runtime: Runtime) -> bool:
    if remnant.act is None:
        return False
    try:
        return remnant.act(runtime) and remnant.kind != "unproven"
    except OperationalError:
        raise  # the database is away: the others would fail alike
    except Exception:
        db.session.rollback()
        log.exception("cleanup.failed", account=remnant.account_name, kind=remnant.kind)
        return False


def _over(before: datetime) -> Iterator[Remnant]:
    still_open = select(AccessRequest).where(AccessRequest.state.in_(astray.MADE)).order_by(AccessRequest.id)
    for request in db.session.scalars(still_open).all():
        reason = why_over(request, now=before)
        if reason is not None and request.state_since <= before:
            why = f"is over ({reason.replace('_', ' ')}) and was not ended"
            yield _remnant(request, request.state_since, why, "over", _end)


def _ending(before: datetime) -> Iterator[Remnant]:
    ending = (
        select(AccessRequest)
        .where(AccessRequest.state == State.ENDING, AccessRequest.ending_at <= before)
        .order_by(AccessRequest.id)
    )
    for request in db.session.scalars(ending).all():
        failures = f"its removal failed {request.removal_failures} times: {request.last_error}"
        why = failures if request.removal_failures else "its removal was never finished"
        yield _remnant(request, request.ending_at or request.state_since, why, "ending", _go_on)


def _orphans(before: datetime) -> Iterator[Remnant]:
    """Yield temporary accounts whose request has ended or is gone: ours by record, never by name."""
    for user, request in astray.accounts_without_right():
        if user.created_at <= before and (request is None or request.state == State.ENDED):
            why = "its request does not exist" if request is None else "its request has ended"
            user_id, name = user.id, user.screen_name or f"account {user.id}"

            def act(runtime: Runtime, user_id: int = user_id, why: str = why) -> bool:
                return reconcile.remove_account(user_id=user_id, why=why, runtime=runtime)

            place = None if request is None else (request.connector, request.instance_id)
            yield Remnant(account_name=name, since=user.created_at, why=why, kind="orphan", act=act, place=place)


def _without_a_request() -> Iterator[Remnant]:
    """Yield requests whose account is gone, and sessions and tickets that no request stands behind."""
    for request in db.session.scalars(astray.requests_without_account()).all():
        yield _remnant(request, request.state_since, "its account is gone", "gone", reconcile.end_gone)
    for session, _request in db.session.execute(astray.live_sessions_without_right()).all():
        session_id = session.id

        def revoke(runtime: Runtime, session_id: int = session_id) -> bool:
            return reconcile.revoke_session(session_id=session_id, runtime=runtime)

        why = "lives on beside a request that is not active"
        name = f"session of {session.actor_name}"
        yield Remnant(account_name=name, since=session.created_at, why=why, kind="session", act=revoke)
    for ticket, _request in db.session.execute(astray.live_tickets_without_right()).all():
        ticket_id = ticket.id

        def void(runtime: Runtime, ticket_id: int = ticket_id) -> bool:
            return reconcile.void_ticket(ticket_id=ticket_id, runtime=runtime)

        why = "lives on beside a request that does not wait for it"
        yield Remnant(
            account_name=f"{ticket.purpose} ticket {ticket.id}",
            since=ticket.issued_at,
            why=why,
            kind="ticket",
            act=void,
        )


def _elsewhere(before: datetime, runtime: Runtime) -> Iterator[Remnant]:
    """Yield what the directories elsewhere have too much, have lost, or do not say."""
    for reading in directories.read_all(runtime):
        if reading.error is not None:
            why = f"its directory was not read: {reading.error}"
            yield Remnant(account_name=reading.instance_name, since=None, why=why, kind="silent")
        for request in reading.gone:
            yield _remnant(
                request, request.state_since, "its directory has no such account", "gone", reconcile.end_gone
            )
        for stray in reading.strays:
            if stray.account is None:
                yield _stray(stray, "unproven")
            elif stray.since is None or stray.since <= before:
                yield _stray(stray, "orphan")


def _stray(stray: directories.Stray, kind: str) -> Remnant:
    def act(runtime: Runtime) -> bool:
        if kind == "orphan":
            return reconcile.remove_stray(stray, runtime=runtime)
        reconcile.tell_unproven(stray, runtime=runtime)
        return True

    name = f"{stray.name} at {stray.place.instance_name}"
    place = stray.place.connector, stray.place.instance_id
    return Remnant(account_name=name, since=stray.since, why=stray.why, kind=kind, act=act, place=place)


def _end(*, request_id: int, runtime: Runtime) -> bool:
    end_if_over(request_id=request_id, runtime=runtime)
    return _is_ended(request_id)


def _go_on(*, request_id: int, runtime: Runtime) -> bool:
    with transaction(as_service=True):
        request = locked(request_id)
        if request.state == State.ENDING:
            request.next_attempt_at = runtime.now()
    return deprovision(request_id=request_id, runtime=runtime) or _is_ended(request_id)


def _is_ended(request_id: int) -> bool:
    db.session.rollback()
    return db.session.scalar(select(AccessRequest.state).where(AccessRequest.id == request_id)) == State.ENDED


def _remnant(request: AccessRequest, since: datetime, why: str, kind: str, use_case: Callable[..., bool]) -> Remnant:
    name, request_id = request.account_name or f"request {request.public_id}", request.id
    return Remnant(
        account_name=name,
        since=since,
        why=why,
        kind=kind,
        act=lambda runtime: use_case(request_id=request_id, runtime=runtime),
        place=(request.connector, request.instance_id),
    )
