"""Saying yes or no: each side that was asked answers once, any no ends the request, every yes lets it go on.

Two administrators who click at once wait for the request's lock; the second finds the answer given and is told whose.
What was decided or ended never opens again: the guarded moves of the machine know no way back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update

from instances.directory import Acting
from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import claimed, db, lock, retried_once, transaction
from tempadmin.errors import Conflict, Forbidden, Invalid
from tempadmin.runtime import Runtime
from tickets import announcements
from tickets.deciders import Decider, Question, side_of
from tickets.end import begin_ending
from tickets.machine import locked, move
from tickets.models import APPROVED, LONGEST_NOTE, REJECTED, SUBJECT_SIDE, AccessRequest, Approval
from tickets.states import EndReason, State

START_WITHIN = timedelta(hours=24)


@retried_once
def approve(*, request_id: int, acting: Acting, note: str | None = None, runtime: Runtime) -> State:
    """Say yes for the side that the person stands on; return the request's state.

    Raises
    ------
    NotFound, Forbidden
        When it is not theirs to decide (``side_of``).
    Conflict
        When somebody answered for this side already, or the request moved on or lapsed.
    Invalid
        When the note is too long.
    """
    note = checked_note(note)
    with transaction():
        request, approval, actor, now = _asked(request_id, acting, runtime)
        settle(approval, APPROVED, acting=acting, actor=actor, note=note, now=now)
        record(
            "access.approved",
            instance_id=request.instance_id,
            actor=actor,
            at=now,
            request_id=request.id,
            side=approval.side,
            note=note,
        )
        if not unanswered(request_id=request.id):
            move(request, State.APPROVED, now=now, approved_at=now, lapses_at=now + START_WITHIN)
            announcements.tell_approved(request, now=now)
        return State(request.state)


@retried_once
def reject(*, request_id: int, acting: Acting, note: str | None = None, runtime: Runtime) -> State:
    """Say no: the request is over, whatever others said or will say.

    Raises
    ------
    NotFound, Forbidden, Conflict, Invalid
        As ``approve``.
    """
    note = checked_note(note)
    with transaction():
        request, approval, actor, now = _asked(request_id, acting, runtime)
        settle(approval, REJECTED, acting=acting, actor=actor, note=note, now=now)
        record(
            "access.rejected",
            instance_id=request.instance_id,
            actor=actor,
            at=now,
            request_id=request.id,
            side=approval.side,
            note=note,
        )
        begin_ending(request, reason=EndReason.REJECTED, actor=actor, now=now)
        return State(request.state)


def settle(approval: Approval, decision: str, *, acting: Acting, actor: Actor, note: str | None, now: datetime) -> None:
    """Write an answer by a guarded UPDATE in the open transaction, which holds the request's lock.

    Raises
    ------
    Conflict
        When it was answered meanwhile.
    """
    email = db.session.get_one(User, acting.user_id).email
    open_still = update(Approval).where(Approval.id == approval.id, Approval.decision.is_(None))
    answer = {
        "decision": decision,
        "decided_at": now,
        "decided_by_id": actor.id,
        "decided_by_name": actor.name,
        "decided_by_email": email,
        "note": note,
    }
    if not claimed(open_still.values(**answer)):
        raise Conflict("Somebody else answered a moment ago.")


def locked_approval(request: AccessRequest, *, extension_id: int | None, acting: Acting) -> tuple[Approval, Actor]:
    """Return the approval that a person may answer, and that person; the request's lock is held.

    Raises
    ------
    NotFound, Forbidden
        As ``side_of``.
    Conflict
        When this side has answered already.
    """
    user = None if acting.user_id is None else db.session.get(User, acting.user_id, populate_existing=True)
    if user is None:
        raise Forbidden("Only a person can decide.")
    of_this = select(Approval).where(Approval.request_id == request.id, Approval.extension_id == extension_id)
    rows = {row.side: row for row in db.session.scalars(of_this.execution_options(populate_existing=True))}
    approval = rows[side_of(_decider(user, acting), _question(request, frozenset(rows)))]
    if approval.decision is not None:
        raise Conflict(f"{approval.decided_by_name} {approval.decision} this already.")
    return approval, Actor(id=user.id, name=user.full_name, via=acting.actor.via)


def unanswered(*, request_id: int, extension_id: int | None = None) -> list[str]:
    """Return the sides that have still to say yes."""
    query = select(Approval.side).where(
        Approval.request_id == request_id, Approval.extension_id == extension_id, Approval.decision.is_(None)
    )
    return list(db.session.scalars(query.order_by(Approval.side)))


def checked_note(note: str | None) -> str | None:
    """Return the note, or ``None`` when there is none.

    Raises
    ------
    Invalid
        When it is longer than 500 characters.
    """
    cleaned = (note or "").replace("\x00", "").strip()
    if len(cleaned) > LONGEST_NOTE:
        raise Invalid(f"Write at most {LONGEST_NOTE} characters.", field="note")
    return cleaned or None


def _asked(request_id: int, acting: Acting, runtime: Runtime) -> tuple[AccessRequest, Approval, Actor, datetime]:
    """Lock the person and the request, and require that it waits for this person's answer."""
    if acting.user_id is not None:
        lock(User, acting.user_id)
    request = locked(request_id)
    now = runtime.now()
    approval, actor = locked_approval(request, extension_id=None, acting=acting)
    if request.state != State.PENDING_APPROVAL or request.lapses_at is None or now >= request.lapses_at:
        raise Conflict("This request does not wait for an answer any more. Its page shows where it stands.")
    return request, approval, actor, now


def _decider(user: User, acting: Acting) -> Decider:
    return Decider(
        user_id=user.id,
        email=user.email,
        is_active=user.active,
        is_temporary=user.temporary,
        is_unvouched=user.unvouched,
        in_support_session=acting.request_id is not None,
        is_omniadmin=user.role == OMNIADMIN,
        administers=user.instance_id if user.role == ADMINISTRATOR else None,
    )


def _question(request: AccessRequest, sides: frozenset[str]) -> Question:
    requester = db.session.get(User, request.requester_id)
    emails = {request.requester_email} | ({requester.email} if requester else set())
    return Question(
        instance_id=request.instance_id,
        requester_id=request.requester_id,
        requester_emails=frozenset(emails),
        subject_id=request.subject_id if SUBJECT_SIDE in sides else None,
        sides=sides,
    )
