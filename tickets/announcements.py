"""Mails to everybody concerned: asked, approved, rejected, lapsed, stopped, somebody is inside, over, more time.

Queued in the transaction that causes them. They go to several people, so the job delivers them: a slow mail server
must not hold up whoever asked. How they become words is in ``composers``.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select

from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.outbox.queue import enqueue
from tempadmin.runtime import Runtime
from tickets import recipients
from tickets.models import AccessRequest, Approval, Extension
from tickets.states import EndReason, State

ASKED, APPROVED, REFUSED = "access_asked", "access_approved", "access_rejected"
LAPSED, STOPPED = "access_lapsed", "access_stopped"
INSIDE, OVER, MORE_TIME = "access_inside", "access_over", "access_more_time"

OWN_DOING = frozenset(
    {
        EndReason.CANCELLED,
        EndReason.NOT_ME,
        EndReason.ENDED_BY_REQUESTER,
        EndReason.REPLACED,
        EndReason.REQUESTER_SIGNED_OUT,
        EndReason.CREDENTIALS_CHANGED,
    }
)
"""What ends a request by the requester's own hand; nobody need tell them."""


def tell_asked(request: AccessRequest, *, extension: Extension | None = None, now: datetime, runtime: Runtime) -> None:
    """Tell everybody who may say yes that they are asked."""
    extension_id = None if extension is None else extension.id
    people = recipients.asked(request, extension_id=extension_id)
    _queue(ASKED, request, people, now=now, runtime=runtime, extension=extension_id or 0)


def tell_approved(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell the requester that they can start."""
    _queue(APPROVED, request, recipients.requester(request), now=now, runtime=runtime)


def tell_more_time(request: AccessRequest, extension: Extension, *, now: datetime, runtime: Runtime) -> None:
    """Tell the requester, and whoever is concerned and did not say yes, that the access goes on for longer."""
    said_yes = select(Approval.decided_by_id).where(
        Approval.extension_id == extension.id, Approval.decided_by_id.is_not(None)
    )
    others = recipients.concerned(request).where(User.id.not_in(said_yes))
    for people in (recipients.requester(request), others):
        _queue(MORE_TIME, request, people, now=now, runtime=runtime)


def tell_no_more_time(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell the requester that the access ends as planned."""
    _queue(MORE_TIME, request, recipients.requester(request), now=now, runtime=runtime)


def tell_inside(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell whom it concerns that somebody is inside."""
    _queue(INSIDE, request, recipients.concerned(request), now=now, runtime=runtime)


def tell_over(request: AccessRequest, was: State, *, now: datetime, runtime: Runtime) -> None:
    """Tell whoever waits or watches that a request is over, and how."""
    reason = EndReason(request.end_reason or EndReason.CLEANED_UP)
    asker = recipients.requester(request)
    if was == State.ACTIVE:
        for people in (asker, recipients.concerned(request)):
            _queue(OVER, request, people, now=now, runtime=runtime)
    elif reason == EndReason.REJECTED:
        _queue(REFUSED, request, asker, now=now, runtime=runtime)
    elif reason != EndReason.LAPSED and reason not in OWN_DOING:
        _queue(STOPPED, request, asker, now=now, runtime=runtime)
    elif reason == EndReason.LAPSED and was in (State.PENDING_APPROVAL, State.APPROVED):
        _queue(LAPSED, request, asker, now=now, runtime=runtime)


def _queue(
    template: str, request: AccessRequest, people: Select[User], *, now: datetime, runtime: Runtime, **ids: int
) -> None:
    """Queue one mail to each."""
    for reader in db.session.scalars(people).all():
        enqueue(
            template,
            recipient=reader.email,
            ids={"request": request.id, "reader": reader.id, **ids},
            request_id=request.id,
            now=now,
            runtime=runtime,
            promptly=False,
        )
