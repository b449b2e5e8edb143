"""Mails to everybody concerned: asked, approved, rejected, lapsed, stopped, somebody is inside, over, more time.

Queued in the transaction that causes them. They go to several people, so the job delivers them: a slow mail server
must not hold up whoever asked. How they become words is in ``composers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Select, select

from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.outbox.queue import Mail, enqueue_all, is_off
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

Readers = Callable[[AccessRequest], Select[User]]
"""Makes the query of who is told of a request."""


def tell_asked(request: AccessRequest, *, extension: Extension | None = None, now: datetime) -> None:
    """Tell everybody who may say yes that they are asked."""
    extension_id = None if extension is None else extension.id
    asked = partial(recipients.asked, extension_id=extension_id)
    _queue(ASKED, request, asked, now=now, extension=extension_id or 0)


def tell_approved(request: AccessRequest, *, now: datetime) -> None:
    """Tell the requester that they can start."""
    _queue(APPROVED, request, recipients.requester, now=now)


def tell_more_time(request: AccessRequest, extension: Extension, *, now: datetime) -> None:
    """Tell the requester, and whoever is concerned and did not say yes, that the access goes on for longer."""
    said_yes = select(Approval.decided_by_id).where(
        Approval.extension_id == extension.id, Approval.decided_by_id.is_not(None)
    )
    _queue(MORE_TIME, request, recipients.requester, now=now)
    _queue(MORE_TIME, request, lambda one: recipients.concerned(one).where(User.id.not_in(said_yes)), now=now)


def tell_no_more_time(request: AccessRequest, *, now: datetime) -> None:
    """Tell the requester that the access ends as planned."""
    _queue(MORE_TIME, request, recipients.requester, now=now)


def tell_inside(request: AccessRequest, *, now: datetime) -> None:
    """Tell whom it concerns that somebody is inside."""
    _queue(INSIDE, request, recipients.concerned, now=now)


def tell_over(requests: Sequence[Any], reason: EndReason, *, now: datetime) -> None:
    """Tell whoever waits or watches that requests are over, and how.

    Parameters
    ----------
    requests
        Rows as they were before the end.
    """
    if is_off():
        return
    people = recipients.of_the_end(requests)
    mails = (_mails_of_the_end(request, reason, people[request.id]) for request in requests)
    enqueue_all([mail for of_one in mails for mail in of_one], now=now)


def _mails_of_the_end(request: Any, reason: EndReason, people: recipients.OfAnEnd) -> list[Mail]:
    was = State(request.state)
    if was == State.ACTIVE:
        return _mails(OVER, request, [*people.asker, *people.concerned])
    if reason == EndReason.REJECTED:
        return _mails(REFUSED, request, people.asker)
    if reason != EndReason.LAPSED and reason not in OWN_DOING:
        return _mails(STOPPED, request, people.asker)
    if reason == EndReason.LAPSED and was in (State.PENDING_APPROVAL, State.APPROVED):
        return _mails(LAPSED, request, people.asker)
    return []


def _queue(template: str, request: AccessRequest, readers: Readers, *, now: datetime, **ids: int) -> None:
    """Queue one mail to each; nobody is looked for where no mail goes out."""
    if is_off():
        return
    people = db.session.scalars(readers(request)).all()
    enqueue_all(_mails(template, request, people, **ids), now=now)


def _mails(template: str, request: Any, people: Iterable[Any], **ids: int) -> list[Mail]:
    return [
        Mail(
            template=template,
            recipient=reader.email,
            ids={"request": request.id, "reader": reader.id, **ids},
            request_id=request.id,
        )
        for reader in people
    ]
