"""Confirming: the requester proves with a fresh second factor that they are who asked (P5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from tempadmin.accounts import factors
from tempadmin.accounts.models import User
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, run, transaction
from tempadmin.errors import Conflict, Gone, NotFound
from tempadmin.runtime import Runtime
from tickets import notices, tokens
from tickets.end import begin_ending
from tickets.machine import locking, move_rows
from tickets.models import CONFIRM, AccessRequest, Ticket
from tickets.refusals import Why, refused
from tickets.sign_in_link import SHOWN, SignInLink, sign_in_link
from tickets.start import locked_own, refuse_stranger
from tickets.states import EndReason, State

MAILS = 3
LOCK = locking("id", "state", *SHOWN)  # built once: each access is confirmed
REISSUE_FOR = timedelta(minutes=30)


def look(*, key: str, user_id: int, runtime: Runtime) -> tuple[AccessRequest, Ticket]:
    """Return what a confirmation link is about, without writing anything.

    Raises
    ------
    NotFound
        When the link is not one, or not this person's.
    Conflict
        When the request was confirmed already.
    Gone
        When it was used, replaced or has expired.
    """
    ticket = tokens.find(key, purpose=CONFIRM, runtime=runtime)
    request = db.session.get_one(AccessRequest, ticket.request_id)
    if request.requester_id != user_id:
        raise NotFound(tokens.NO_LINK)
    if ticket.used_at is not None and State(request.state) in (State.READY, State.ACTIVE):
        raise _confirmed_already(request)
    tokens.refuse_spent(ticket, now=runtime.now())
    return request, ticket


@retried_once
def confirm(*, key: str, user_id: int, answer: str, runtime: Runtime) -> SignInLink:
    """Judge a fresh second factor for a request; on success the confirm ticket is used and a login ticket made.

    A repeat (reload, Back, a second click) is answered before any code is judged, so it costs no code and counts as
    no guess.

    Raises
    ------
    NotFound, Gone, Conflict
        As ``look``; also when the request moved on.
    Invalid
        When the code is not right; it was counted.
    RateLimited
        While the pause after wrong codes lasts.
    """
    link, late = None, None
    with transaction():
        user = lock(User, user_id)
        found = tokens.find_with_request(key, purpose=CONFIRM, runtime=runtime)
        if user is None or found.requester_id != user_id:
            raise NotFound(tokens.NO_LINK)
        refuse_stranger(user, found)
        if (repeat := _too_late(found, found, now=runtime.now())) is not None:
            raise repeat
        verdict = factors.judge(user_id=user_id, answer=answer, runtime=runtime)
        request, ticket = run(LOCK, {"requests": [found.request_id]}).one(), tokens.locked(found.id)
        now = runtime.now()
        actor = Actor(id=user.id, name=user.full_name)
        late = _too_late(request, ticket, now=now)
        if verdict.counts_as_wrong:
            refused(CONFIRM, Why.WRONG_CODE)
            # An end or the expiry may have overtaken us since the look above; the guess was judged, so it counts (S12).
            record("access.wrong_code", instance_id=request.instance_id, actor=actor, at=now, request_id=request.id)
        elif late is not None:
            raise late
        elif verdict.refusal is None and ticket is not None:
            tokens.use(ticket, now=now)
            move_rows([request.id], State(request.state), State.READY, now=now, confirmed_at=now)
            record(
                "access.confirmed",
                instance_id=request.instance_id,
                actor=actor,
                at=now,
                request_id=request.id,
                factor=verdict.kind,
            )
            expires_at = now + runtime.settings.ticket_ttl
            link = sign_in_link(request, tokens.issue_first, now=now, expires_at=expires_at, runtime=runtime)
    if late is not None:
        raise late
    verdict.raise_if_refused()
    if link is None:
        raise RuntimeError("a right code made no link")
    return link


@retried_once
def send_again(*, request_id: int, user_id: int, runtime: Runtime) -> None:
    """Void the confirmation link and mail a new one: three mails in all, never past 30 minutes (design §2).

    Raises
    ------
    NotFound
        When the request is not this person's.
    Conflict
        When it awaits no confirmation any more, or no further mail is allowed.
    """
    with transaction():
        request, now = _own(request_id, user_id, State.AWAITING_CONFIRMATION, runtime)
        if request.confirmation_mails >= MAILS + 1:
            raise Conflict("The confirmation was mailed three times again. Cancel this request and ask anew.")
        expires_at = reissued_until(request, now=now, runtime=runtime)
        key = tokens.issue(request_id=request.id, purpose=CONFIRM, now=now, expires_at=expires_at, runtime=runtime)
        notices.send_confirmation(request, key=key, expires_at=expires_at, now=now, runtime=runtime)
        record(
            "access.confirmation_sent_again",
            instance_id=request.instance_id,
            actor=_requester(request),
            at=now,
            request_id=request.id,
        )


@retried_once
def open_confirmation(*, request_id: int, user_id: int, runtime: Runtime) -> str:
    """Return the key of a new confirmation link for the page itself, where no mail carries it.

    Raises
    ------
    NotFound, Conflict
        As ``send_again``; also when confirmation goes by mail.
    """
    if runtime.settings.confirms_by_mail:
        raise Conflict("The confirmation link is in the mail.")
    with transaction():
        request, now = _own(request_id, user_id, State.AWAITING_CONFIRMATION, runtime)
        expires_at = reissued_until(request, now=now, runtime=runtime)
        return tokens.issue(request_id=request.id, purpose=CONFIRM, now=now, expires_at=expires_at, runtime=runtime)


@retried_once
def new_sign_in_link(*, request_id: int, user_id: int, runtime: Runtime) -> SignInLink:
    """Void the login link and make a new one; the second factor that was given for this request stays given.

    Raises
    ------
    NotFound, Conflict
        As ``send_again``.
    """
    with transaction():
        request, now = _own(request_id, user_id, State.READY, runtime)
        record(
            "access.new_link", instance_id=request.instance_id, actor=_requester(request), at=now, request_id=request.id
        )
        expires_at = reissued_until(request, now=now, runtime=runtime)
        return sign_in_link(request, tokens.issue, now=now, expires_at=expires_at, runtime=runtime)


@retried_once
def disown(*, key: str, user_id: int, runtime: Runtime) -> None:
    """Cancel a request that the person says was not theirs, and tell the other omniadmins.

    Raises
    ------
    NotFound, Gone, Conflict
        As ``look``.
    """
    request_id = look(key=key, user_id=user_id, runtime=runtime)[0].id
    with transaction():
        request, now = _own(request_id, user_id, State.AWAITING_CONFIRMATION, runtime)
        begin_ending(request, reason=EndReason.NOT_ME, actor=_requester(request), now=now)
        notices.warn_other_omniadmins(request, now=now, runtime=runtime)


def reissued_until(request: AccessRequest, *, now: datetime, runtime: Runtime) -> datetime:
    """Return until when a replacing ticket works: never past 30 minutes after provisioning.

    Raises
    ------
    Conflict
        When those 30 minutes are over.
    """
    end = (request.provisioned_at or now) + REISSUE_FOR
    if now >= end:
        raise Conflict("This request is older than 30 minutes. Cancel it and ask anew.")
    return min(now + runtime.settings.ticket_ttl, end)


def _own(request_id: int, user_id: int, state: State, runtime: Runtime) -> tuple[AccessRequest, datetime]:
    """Lock a person's own request and require its state, and that its live ticket has not run out."""
    _, request, now = locked_own(request_id=request_id, user_id=user_id, runtime=runtime)
    if request.state != state or tokens.live_until(request_id=request.id, now=now) is None:
        raise Conflict("This request has moved on meanwhile. Its page shows where it stands.")
    return request, now


def _too_late(
    request: Row[Any] | tokens.Found, ticket: tokens.Standing | None, *, now: datetime
) -> Conflict | Gone | None:
    """Return why a request cannot be confirmed by this ticket any more."""
    if ticket is None or request.state != State.AWAITING_CONFIRMATION:
        return _confirmed_already(request)
    try:
        tokens.refuse_spent(ticket, now=now)
    except Gone as gone:
        return gone
    return None


def _requester(request: AccessRequest) -> Actor:
    return Actor(id=request.requester_id, name=request.requester_name)


def _confirmed_already(request: Row[Any] | AccessRequest | tokens.Found) -> Conflict:
    refused(CONFIRM, Why.OVER)
    message = {
        State.READY: "You confirmed this request already. Its page has the way in.",
        State.ACTIVE: "You confirmed this request already, and are inside.",
    }.get(State(request.state), "This request is over.")
    return Conflict(message, next_url=f"/access/{request.public_id}", next_label="Open the request")
