"""Reconciliation: what requests, accounts, sessions, tickets and directories say is brought together again.

Each repair looks again under lock, and only ever takes away: an access whose account is gone ends, a session or ticket
that no request stands behind stops working, an account that is proven ours and has no request goes. Whatever is not
proven ours is told of and left alone. Each leaves an event in the record.
"""

from __future__ import annotations

from sqlalchemy import select

from instances.connectors.base import Account
from instances.models import VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, lock, transaction
from tempadmin.runtime import Runtime
from tickets import astray, directories, leftovers
from tickets.accounts import account_of
from tickets.end import begin_ending
from tickets.machine import locked
from tickets.models import AccessRequest, Ticket
from tickets.states import WITH_TICKET, EndReason, State


def end_gone(*, request_id: int, runtime: Runtime) -> bool:
    """End a request whose account is gone here, or from its directory; return whether it was ended."""
    elsewhere = directories.has_lost(db.session.get_one(AccessRequest, request_id), runtime)
    with transaction(as_service=True) as session:
        request = locked(request_id)
        gone_here = session.scalar(astray.requests_without_account().where(AccessRequest.id == request_id)) is not None
        if not gone_here and not (elsewhere and request.state in astray.MADE):
            return False
        begin_ending(request, reason=EndReason.CLEANED_UP, actor=SERVICE, now=runtime.now())
    return True


def revoke_session(*, session_id: int, runtime: Runtime) -> bool:
    """Revoke a live support session whose request is not active, or is none; return whether it was."""
    request_id = db.session.scalar(select(LoginSession.access_request_id).where(LoginSession.id == session_id))
    with transaction(as_service=True):
        request = lock(AccessRequest, request_id or 0)
        row = lock(LoginSession, session_id)
        if row is None or row.ended_at is not None or (request is not None and request.state == State.ACTIVE):
            return False
        now = runtime.now()
        sessions.revoke([session_id], reason=EndReason.CLEANED_UP, now=now)
        record(
            "access.session_revoked",
            instance_id=row.instance_id,
            actor=SERVICE,
            at=now,
            request_id=None if request is None else request.id,
            session_of=row.actor_name,
        )
    return True


def void_ticket(*, ticket_id: int, runtime: Runtime) -> bool:
    """Void a live ticket that its request does not wait for; return whether it was."""
    request_id = db.session.scalar(select(Ticket.request_id).where(Ticket.id == ticket_id))
    with transaction(as_service=True):
        request = lock(AccessRequest, request_id or 0)
        ticket = lock(Ticket, ticket_id)
        if ticket is None or ticket.used_at is not None or ticket.voided_at is not None:
            return False
        if request is not None and WITH_TICKET.get(State(request.state)) == ticket.purpose:
            return False
        now = runtime.now()
        ticket.voided_at = now
        ticket.code_digest = ticket.code_challenge = ticket.code_expires_at = None
        if request is not None:  # without one there is no chain that it belongs to
            record(
                "access.ticket_voided",
                instance_id=request.instance_id,
                actor=SERVICE,
                at=now,
                request_id=request.id,
                purpose=ticket.purpose,
            )
    return True


def remove_account(*, user_id: int, why: str, runtime: Runtime) -> bool:
    """Remove a temporary account of ours that no request entitles: noted, tried at once, and for ever by the job."""
    user = db.session.get(User, user_id)
    if user is None:
        return True
    connector = db.session.get_one(VirtualInstance, user.instance_id).connector
    request = db.session.scalars(
        select(AccessRequest).where(AccessRequest.id == user.access_request_id, AccessRequest.subject_id == user.id)
    ).one_or_none()
    account = (
        account_of(request)
        if request is not None
        else Account(
            instance_id=user.instance_id,
            user_id=user.id,
            request_id=user.access_request_id or 0,
            name=user.screen_name or "",
            email=user.email,
            marker="",
        )
    )
    return _remove(account, connector, why, runtime)


def remove_stray(stray: directories.Stray, *, runtime: Runtime) -> bool:
    """Remove an account from a directory that our marker proves ours and no request entitles."""
    if stray.account is None:
        return False
    return _remove(stray.account, stray.place.connector, stray.why, runtime)


def tell_unproven(stray: directories.Stray, *, runtime: Runtime) -> None:
    """Leave in the record of its instance that an account looks like ours; nothing else is done to it."""
    with transaction(as_service=True):
        record(
            "access.looks_like_ours",
            instance_id=stray.place.instance_id,
            actor=SERVICE,
            at=runtime.now(),
            account=stray.name[:200],
        )


def _remove(account: Account, connector: str, why: str, runtime: Runtime) -> bool:
    leftover_id = leftovers.note(account, connector=connector, why=why, runtime=runtime)
    return leftover_id is not None and leftovers.remove(leftover_id=leftover_id, runtime=runtime, now_due=True)
