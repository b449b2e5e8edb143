"""Redemption: the one transaction that turns a ticket into a session (S03, S04, P2).

It checks ticket, code and challenge, moves ``ready → active``, activates the account and creates the session. Of any
number of browsers, tabs and rivals one gets through; the others find the ticket used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, bindparam, select, update

from tempadmin.accounts import sessions
from tempadmin.accounts.models import OMNIADMIN, REGULAR, TEMPORARY, User
from tempadmin.accounts.sign_in import Client
from tempadmin.audit.log import Actor, record
from tempadmin.db import after_commit, claimed, db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Gone, Unreadable
from tempadmin.runtime import Runtime
from tickets import activation, announcements, entries, notices, policy, tokens
from tickets.end import begin_ending
from tickets.hand_off import Kept
from tickets.machine import locked, move
from tickets.models import IMPERSONATION, LOGIN, TEMPORARY_ADMIN, AccessRequest, Ticket
from tickets.refusals import Why, refused
from tickets.start import refuse_unless_approved
from tickets.states import OPEN, EndReason, State


class OtherTab(Conflict):
    """The code was not made for what this browser keeps: another tab began anew. The ticket still works."""


# Built once; by ascending id, so that no rival holds one and waits for the other (design §2).
LOCK_PEOPLE = (
    select(User)
    .where(User.id.in_(bindparam("people", expanding=True)))
    .order_by(User.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)
_USERS = cast(Table, User.__table__)
ACTIVATE = (
    update(_USERS)
    .where(_USERS.c.id == bindparam("account"), _USERS.c.kind == TEMPORARY, _USERS.c.active.is_(False))
    .values(active=True)
)


@dataclass(frozen=True, kw_only=True)
class LetIn:
    """A browser that was let in."""

    secret: str
    """The new session's, which exists nowhere else."""
    request_id: int
    used_here: bool
    """Whether the account works in this service's own pages (``entries.is_used_here``)."""


@retried_once
def redeem(
    *, kept: Kept, code: str, instance_id: int, present_session: str | None, client: Client, runtime: Runtime
) -> LetIn:
    """Redeem a ticket.

    Parameters
    ----------
    kept
        Verifier and key from this browser's hand-off cookie.
    code
        What the console answered. It is burned in any case, and never the ticket with it.
    present_session
        The session cookie that this browser holds on this host, if any: that session ends first.

    Raises
    ------
    OtherTab
        When code and browser do not belong together; **Start again** is the way on.
    Gone
        When the ticket was used or voided, or its time is over at the moment when its row is locked (P4, S05).
    """
    found = _find(kept.key, instance_id, runtime)
    let_in: LetIn | None = None
    with transaction():
        requester, account = _locked_people(found)
        request, old_sessions = _lock_requests(found, present_session, instance_id, runtime)
        ticket = lock(Ticket, found.id)
        now = runtime.now()
        fits = ticket is not None and tokens.code_fits(
            ticket, code=code, verifier=kept.verifier, now=now, runtime=runtime
        )
        refusal = _refusal(request, ticket, requester, account, fits=fits, now=now, runtime=runtime)
        if refusal is not None or ticket is None or requester is None or account is None:
            tokens.burn_code(code, runtime=runtime)
        else:
            actor = Actor(id=requester.id, name=requester.full_name)
            _end_present(old_sessions, actor=actor, runtime=runtime)
            tokens.use(ticket, now=now)  # which burns the code that stands on it, and so the one presented
            duration = timedelta(seconds=request.duration_seconds)
            move(
                request,
                State.ACTIVE,
                now=now,
                started_at=now,
                ends_at=now + duration,
                **entries.redeemed(request, now=now, runtime=runtime),
            )
            if request.next_attempt_at is not None:
                after_commit(lambda: activation.try_quietly(found.request_id))
            if request.kind == TEMPORARY_ADMIN:
                _activate(account)
            record(
                "access.entered",
                instance_id=instance_id,
                actor=actor,
                at=now,
                request_id=request.id,
                account=request.account_name or request.account_email,
                address=client.address,
            )
            used_here = entries.is_used_here(request)
            secret = sessions.open_session(
                user=account,
                actor=actor,
                now=now,
                lifetime=duration,
                idle=runtime.settings.idle_timeout if used_here else duration,
                mfa_at=request.confirmed_at,
                access_request_id=request.id,
                address=client.address,
                user_agent=client.user_agent,
                runtime=runtime,
            )
            notices.tell_entered(request, now=now, runtime=runtime)
            announcements.tell_inside(request, now=now)
            let_in = LetIn(secret=secret, request_id=request.id, used_here=used_here)
    if let_in is None:
        raise refusal or Gone(tokens.SPENT)
    return let_in


def _find(key: str, instance_id: int, runtime: Runtime) -> tokens.Found:
    """Find rows by the key that the cookie keeps; everything is read again under lock."""
    found = tokens.find_with_request(key, purpose=LOGIN, runtime=runtime)
    if found.instance_id != instance_id or found.subject_id is None:
        raise Gone(tokens.SPENT)
    return found


def _locked_people(found: tokens.Found) -> tuple[User | None, User | None]:
    """Lock requester and account, by ascending id."""
    rows = db.session.scalars(LOCK_PEOPLE, {"people": (found.requester_id, found.subject_id)})
    people = {user.id: user for user in rows}
    return people.get(found.requester_id), people.get(found.subject_id or 0)


def _lock_requests(
    found: tokens.Found, present: str | None, instance_id: int, runtime: Runtime
) -> tuple[AccessRequest, list[tuple[int, int | None]]]:
    """Lock this request and that of the session that the browser holds, by ascending id; return it and that session."""
    old = sessions.find(present, instance_id=instance_id, runtime=runtime) if present else None
    rows = [] if old is None or old.ended_at is not None else [(old.id, old.access_request_id)]
    others = {request_id for _, request_id in rows if request_id is not None}
    requests = {request_id: locked(request_id) for request_id in sorted({found.request_id} | others)}
    return requests[found.request_id], rows


def _refusal(
    request: AccessRequest,
    ticket: Ticket | None,
    requester: User | None,
    account: User | None,
    *,
    fits: bool,
    now: datetime,
    runtime: Runtime,
) -> Conflict | Gone | Unreadable | None:
    """Return why this redemption is refused. The code is burned all the same, so this is raised after the commit."""
    if ticket is None or request.state != State.READY:
        refused(LOGIN, Why.OVER)
        return Gone(tokens.SPENT)
    try:
        tokens.refuse_spent(ticket, now=now)
    except Gone as refusal:
        return refusal
    try:
        _refuse_people(request, requester, account)
        policy.read_seconds(request.duration_seconds)
        entries.read(request)
        refuse_unless_approved(request, runtime=runtime)
    except (Conflict, Gone, Unreadable) as refusal:
        refused(LOGIN, Why.NOT_ALLOWED)
        return refusal
    if fits:
        return None
    refused(LOGIN, Why.OTHER_TAB)
    return OtherTab("This window belongs to an older try. Your link still works: start again.")


def _refuse_people(request: AccessRequest, requester: User | None, account: User | None) -> None:
    """Require that requester and account are still who the request speaks of."""
    if requester is None or not requester.active or requester.role != OMNIADMIN:
        raise Gone("Whoever asked for this access may not enter any more.")
    if account is None or account.instance_id != request.instance_id or not _may_be_entered(account, request):
        raise Gone("The account that was to be entered is gone, or has changed.")


def _may_be_entered(account: User, request: AccessRequest) -> bool:
    """Tell whether this is the account of the request: the one made for it, or the user who consented, unchanged.

    Raises
    ------
    Unreadable
        When the request is of no kind that this version knows (S36).
    """
    if request.kind == TEMPORARY_ADMIN:
        return account.kind == TEMPORARY and account.access_request_id == request.id
    if request.kind != IMPERSONATION:
        raise Unreadable(policy.UNREADABLE)
    unchanged = account.email == request.account_email and account.role != OMNIADMIN
    return account.kind == REGULAR and account.active and unchanged


def _end_present(rows: list[tuple[int, int | None]], *, actor: Actor, runtime: Runtime) -> None:
    """End the session that lives in this browser on this host; a support session's request with it."""
    for session_id, request_id in rows:
        now = runtime.now()
        if request_id is not None:
            request = locked(request_id)
            if State(request.state) in OPEN:
                begin_ending(request, reason=EndReason.REPLACED, actor=actor, now=now)
        sessions.revoke([session_id], reason=EndReason.REPLACED, now=now)


def _activate(account: User) -> None:
    """Let the account act: inactive until this moment, and only its one session ever acts as it."""
    if not claimed(ACTIVATE, {"account": account.id}):
        raise Conflict("The temporary account was active already.")
