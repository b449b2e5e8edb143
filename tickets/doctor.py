"""Checks of requests × accounts × sessions × tickets that do not fit together, one query for each kind.

Each fault is found by one statement, so what moves meanwhile is seen before or after its move and never in between.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import and_, func, or_, select

from instances.connectors.base import Entry
from tempadmin.accounts.models import LoginSession
from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, checks, error, ok, warning
from tempadmin.runtime import Runtime
from tickets import astray, doctor_answers, queries
from tickets.models import IS_OPEN, KINDS, AccessRequest, Ticket
from tickets.states import OPEN, WITH_TICKET, State

SWEEP = "run: tempadmin cleanup --min-age 0s"
VERIFY = "somebody changed the database by hand: run tempadmin audit verify"


def init_app(app: Flask) -> None:
    """Register the check."""
    checks(app).append(Check(name="access", look=what_does_not_fit))


def what_does_not_fit(runtime: Runtime) -> Iterator[Finding]:
    """Yield every fault, or that there is none."""
    found = [
        *unreadable(),
        *accounts_astray(),
        *accounts_gone(),
        *nobody_inside(),
        *sessions_astray(),
        *tickets_astray(),
    ]
    found += _stuck(runtime)
    found += _shut_out()
    found += doctor_answers.what_does_not_fit(runtime, end=how_to_end)
    yield from found
    if not found:
        number = db.session.scalar(select(func.count()).where(IS_OPEN)) or 0
        yield ok(f"{number} open requests; accounts, sessions, tickets and answers fit")


def unreadable() -> Iterator[Finding]:
    """Requests whose state, kind or entry is none: nobody gets in by them, and no job moves them on (S36)."""
    strange = or_(
        AccessRequest.state.not_in(tuple(State)),
        AccessRequest.kind.not_in(KINDS),
        AccessRequest.entry.not_in(tuple(Entry)),
    )
    for request in db.session.scalars(select(AccessRequest).where(strange).order_by(AccessRequest.id)):
        is_so = f"{_words(request)!r} and of the kind {request.kind!r}, entered by {request.entry!r}"
        yield error(f"request {request.public_id} is {is_so}", VERIFY)


def accounts_astray() -> Iterator[Finding]:
    """Temporary accounts that nobody is entitled to (P1); an ended request is found by either end of the link."""
    for user, request in astray.accounts_without_right():
        account = f"account {user.screen_name or user.id}"
        if request is None:
            yield error(f"{account} has no request", SWEEP)
        elif request.state == State.ENDED:
            yield error(f"{account} is still there, and its request {request.public_id} has ended", SWEEP)
        else:
            yield error(f"{account} exists while its request {request.public_id} is {_words(request)}", VERIFY)


def accounts_gone() -> Iterator[Finding]:
    """Open requests whose account is gone or another's."""
    for request in db.session.scalars(astray.requests_without_account()):
        yield error(f"request {request.public_id} is {_words(request)}, and its account is gone", how_to_end(request))


def nobody_inside() -> Iterator[Finding]:
    """Active requests without a session."""
    live = and_(LoginSession.access_request_id == AccessRequest.id, LoginSession.ended_at.is_(None))
    alone = select(AccessRequest).outerjoin(LoginSession, live).where(LoginSession.id.is_(None))
    for request in db.session.scalars(alone.where(AccessRequest.state == State.ACTIVE).order_by(AccessRequest.id)):
        yield error(f"request {request.public_id} is active, and has no session", how_to_end(request))


def sessions_astray() -> Iterator[Finding]:
    """Support sessions that live on beside a request that is not active; pages refuse them all the same (S20)."""
    for session, request in db.session.execute(astray.live_sessions_without_right()).all():
        lives = f"session {session.id} of {session.actor_name} lives, and its request"
        if request is None:
            yield error(f"{lives} does not exist", VERIFY)
        else:
            yield error(f"{lives} {request.public_id} is {_words(request)}", VERIFY)


def tickets_astray() -> Iterator[Finding]:
    """Requests with two live tickets, and tickets that live beside a request that waits for none."""
    query = select(AccessRequest, Ticket).join(Ticket, Ticket.request_id == AccessRequest.id)
    query = query.where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None), AccessRequest.state.in_(tuple(State)))
    query = query.order_by(AccessRequest.id, Ticket.id)
    live: dict[AccessRequest, list[Ticket]] = {}
    for request, ticket in db.session.execute(query).all():
        live.setdefault(request, []).append(ticket)
    for request, tickets in live.items():
        wanted = WITH_TICKET.get(State(request.state))
        if len(tickets) > 1:
            yield error(f"request {request.public_id} has {len(tickets)} live tickets", how_to_end(request))
        elif tickets[0].purpose != wanted:
            has = f"request {request.public_id} is {_words(request)}, and has a live {tickets[0].purpose} ticket"
            yield error(has, how_to_end(request))


def _stuck(runtime: Runtime) -> Iterator[Finding]:
    """Removals that need a human's eyes (P11)."""
    now = runtime.now()
    for request in db.session.scalars(queries.newest_first(attention_at=now)):
        tried = f"tried {request.removal_failures} times: {request.last_error or 'no answer'}"
        account = request.account_name or "nothing"
        yield error(
            f"{account} at {request.instance_name} is still being removed ({request.public_id}), {tried}",
            "see to that instance's directory; the removal is retried by itself",
        )


def _shut_out() -> Iterator[Finding]:
    """Accounts elsewhere that somebody came in by, and whom their directory does not let in."""
    shut = AccessRequest.state == State.ACTIVE, AccessRequest.last_error.is_not(None)
    for request in db.session.scalars(select(AccessRequest).where(*shut).order_by(AccessRequest.id)):
        said = f"{request.account_name} is not let in at {request.instance_name} ({request.public_id})"
        what = "see to that instance's directory; then press Try again on the page of the access"
        yield warning(f"{said}: {request.last_error}", what)


def _words(request: AccessRequest) -> str:
    return request.state.replace("_", " ")


def how_to_end(request: AccessRequest) -> str:
    """Return what to do about a request that should not go on."""
    if request.state not in OPEN:
        return VERIFY
    return f"run: tempadmin access end {request.public_id} --as YOUR-E-MAIL"
