"""More time for an active access: asked for once, with a new reason, a fresh factor and every yes (design §2).

An extension is a row of its own with approvals of its own. The request stays ``active`` meanwhile, and its end beats
the extension: what was not granted by then is void.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from instances.directory import Acting
from tempadmin.accounts import factors
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import after_commit, claimed, db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Invalid, NotFound
from tempadmin.runtime import Runtime
from tickets import activation, announcements, entries, more_time, policy
from tickets.approve import checked_note, locked_approval, settle, unanswered
from tickets.machine import locked
from tickets.models import (
    APPROVED,
    GRANTED,
    PENDING,
    REFUSED,
    REJECTED,
    AccessRequest,
    Approval,
    Extension,
)
from tickets.start import refuse_stranger
from tickets.states import State


@retried_once
def extend(*, request_id: int, user_id: int, reason: str, added: timedelta, answer: str, runtime: Runtime) -> bool:
    """Ask for more time; return whether it was granted at once.

    Raises
    ------
    NotFound, Forbidden
        As ``start``.
    Conflict
        When the access is not active, more time was asked for before, or nobody could give a yes that is needed.
    Invalid
        When reason or time cannot be taken, or the code is not right; it was counted.
    RateLimited
        While the pause after wrong codes lasts.
    """
    reason = policy.checked_reason(reason)
    granted = False
    refusal: Conflict | Invalid | None = None
    with transaction():
        user = lock(User, user_id)
        request = db.session.get(AccessRequest, request_id)
        if user is None or request is None:
            raise NotFound("There is no such request.")
        refuse_stranger(user, request)
        sides = more_time.sides_to_ask(request, user, added=added, now=runtime.now(), runtime=runtime)
        # Factors are locked before requests (design §2), so what was seen above is looked at again below, the policy
        # included, which may have become tighter meanwhile; a code that was judged stays judged, whatever comes out.
        verdict = factors.judge(user_id=user_id, answer=answer, runtime=runtime)
        request = locked(request_id)
        actor, now = Actor(id=user.id, name=user.full_name), runtime.now()
        try:
            sides = more_time.sides_to_ask(request, user, added=added, now=now, runtime=runtime)
        except (Conflict, Invalid) as error:
            refusal = error
        if verdict.refusal is None and refusal is None:
            extension = _add(request, reason=reason, added=added, sides=sides, now=now)
            record(
                "access.extension_asked",
                instance_id=request.instance_id,
                actor=actor,
                at=now,
                request_id=request.id,
                reason=reason,
                added_seconds=extension.added_seconds,
                factor=verdict.kind,
            )
            if sides:
                announcements.tell_asked(request, extension=extension, now=now)
            else:
                _grant(request, extension, actor=actor, now=now, runtime=runtime)
                granted = True
        elif verdict.counts_as_wrong:
            record("access.wrong_code", instance_id=request.instance_id, actor=actor, at=now, request_id=request.id)
    verdict.raise_if_refused()
    if refusal is not None:
        raise refusal
    return granted


@retried_once
def approve_extension(
    *, request_id: int, extension_id: int, acting: Acting, note: str | None = None, runtime: Runtime
) -> bool:
    """Say yes to more time; return whether it is granted with that.

    Raises
    ------
    NotFound, Forbidden, Conflict, Invalid
        As ``approve``.
    """
    with transaction():
        request, extension, approval, actor, now = _asked(request_id, extension_id, acting, runtime)
        settle(approval, APPROVED, acting=acting, actor=actor, note=checked_note(note), now=now)
        _record_answer("access.extension_approved", request, approval, actor=actor, now=now)
        if unanswered(request_id=request.id, extension_id=extension.id):
            return False
        _grant(request, extension, actor=actor, now=now, runtime=runtime)
        return True


@retried_once
def reject_extension(
    *, request_id: int, extension_id: int, acting: Acting, note: str | None = None, runtime: Runtime
) -> None:
    """Say no to more time; the access goes on to its own end.

    Raises
    ------
    NotFound, Forbidden, Conflict, Invalid
        As ``approve``.
    """
    with transaction():
        request, extension, approval, actor, now = _asked(request_id, extension_id, acting, runtime)
        settle(approval, REJECTED, acting=acting, actor=actor, note=checked_note(note), now=now)
        more_time.settle_extension(extension, REFUSED, now=now)
        _record_answer("access.extension_rejected", request, approval, actor=actor, now=now)
        announcements.tell_no_more_time(request, now=now)


def _add(request: AccessRequest, *, reason: str, added: timedelta, sides: list[str], now: datetime) -> Extension:
    extension = Extension(
        request_id=request.id,
        state=PENDING,
        reason=reason,
        added_seconds=int(added.total_seconds()),
        asked_at=now,
    )
    db.session.add(extension)
    db.session.flush()
    db.session.add_all(Approval(request_id=request.id, extension_id=extension.id, side=side) for side in sides)
    db.session.flush()
    return extension


def _asked(
    request_id: int, extension_id: int, acting: Acting, runtime: Runtime
) -> tuple[AccessRequest, Extension, Approval, Actor, datetime]:
    if acting.user_id is not None:
        lock(User, acting.user_id)
    request = locked(request_id)
    now = runtime.now()
    extension = lock(Extension, extension_id)
    if extension is None or extension.request_id != request.id:
        raise NotFound("There is no such request.")
    approval, actor = locked_approval(request, extension_id=extension.id, acting=acting)
    over = request.state != State.ACTIVE or request.ends_at is None or now >= request.ends_at
    if over or extension.state != PENDING:
        raise Conflict("This does not wait for an answer any more: the access is over, or it was answered.")
    return request, extension, approval, actor, now


def _grant(request: AccessRequest, extension: Extension, *, actor: Actor, now: datetime, runtime: Runtime) -> None:
    """Move the end of request and session, and tell it, in the open transaction, which holds the request's lock."""
    if not more_time.fits(request, extension, runtime=runtime):
        raise Conflict("The policy of this instance does not allow this any more. The access goes on to its own end.")
    more_time.settle_extension(extension, GRANTED, now=now)
    if request.ends_at is None:
        raise Conflict("Only an access that is going on can be extended.")
    ends_at = request.ends_at + timedelta(seconds=extension.added_seconds)
    still = update(AccessRequest).where(AccessRequest.id == request.id, AccessRequest.state == State.ACTIVE)
    again = entries.prolonged(request, now=now)
    if not claimed(still.values(ends_at=ends_at, **again)):
        raise Conflict("This access is over.")
    db.session.refresh(request)
    if again:
        request_id = request.id
        after_commit(lambda: activation.try_quietly(request_id))
    db.session.execute(
        update(LoginSession)
        .where(LoginSession.access_request_id == request.id, LoginSession.ended_at.is_(None))
        .values(expires_at=ends_at, **_idle(request, extension))
    )
    record(
        "access.extended",
        instance_id=request.instance_id,
        actor=actor,
        at=now,
        request_id=request.id,
        added_seconds=extension.added_seconds,
        ends_at=ends_at.isoformat(),
    )
    announcements.tell_more_time(request, extension, now=now)


def _idle(request: AccessRequest, extension: Extension) -> dict[str, Any]:
    """Where nobody here sees whether somebody is at work, the idle limit is the time limit, and moves with it."""
    if entries.is_used_here(request):
        return {}
    return {"idle_seconds": LoginSession.idle_seconds + extension.added_seconds}


def _record_answer(event: str, request: AccessRequest, approval: Approval, *, actor: Actor, now: datetime) -> None:
    record(event, instance_id=request.instance_id, actor=actor, at=now, request_id=request.id, side=approval.side)
