"""Mails to everybody concerned: asked, approved, rejected, lapsed, somebody is inside, over, more time.

Queued in the transaction that causes them. They go to several people, so the job delivers them: a slow mail server
must not hold up whoever asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy import ColumnElement, and_, select

from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, REGULAR, User
from tempadmin.db import db
from tempadmin.outbox.queue import composers, enqueue
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source
from tickets import queries, story
from tickets.models import (
    CUSTOMER_SIDE,
    IMPERSONATION,
    OMNIADMIN_SIDE,
    PENDING,
    REJECTED,
    SUBJECT_SIDE,
    AccessRequest,
    Approval,
    Extension,
)
from tickets.notices import facts, moment, request_url
from tickets.states import OPEN, EndReason, State

ASKED, APPROVED, REFUSED, LAPSED = "access_asked", "access_approved", "access_rejected", "access_lapsed"
INSIDE, OVER, MORE_TIME = "access_inside", "access_over", "access_more_time"


def init_app(app: Flask) -> None:
    """Register the composers."""
    for template in (ASKED, APPROVED, REFUSED, LAPSED, INSIDE, OVER, MORE_TIME):
        composers(app)[template] = COMPOSERS[template]


def tell_asked(request: AccessRequest, *, extension: Extension | None = None, now: datetime, runtime: Runtime) -> None:
    """Tell everybody who may say yes that they are asked."""
    extension_id = None if extension is None else extension.id
    asked = select(Approval.side).where(
        Approval.request_id == request.id, Approval.extension_id == extension_id, Approval.decision.is_(None)
    )
    readers = {reader.id: reader for side in db.session.scalars(asked).all() for reader in _people(side, request)}
    for reader in readers.values():
        _queue(ASKED, request, reader, now=now, runtime=runtime, extension=extension_id or 0)


def tell_approved(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell the requester that they can start."""
    _queue_to_requester(APPROVED, request, now=now, runtime=runtime)


def tell_extension(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell the requester whether more time was granted."""
    _queue_to_requester(MORE_TIME, request, now=now, runtime=runtime)


def tell_inside(request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    """Tell the customer's side that somebody is inside."""
    for reader in _concerned(request):
        _queue(INSIDE, request, reader, now=now, runtime=runtime)


def tell_over(request: AccessRequest, was: State, *, now: datetime, runtime: Runtime) -> None:
    """Tell whoever waits or watches that a request is over, and how."""
    reason = EndReason(request.end_reason or EndReason.CLEANED_UP)
    if reason == EndReason.REJECTED:
        _queue_to_requester(REFUSED, request, now=now, runtime=runtime)
    elif reason == EndReason.LAPSED and was in (State.PENDING_APPROVAL, State.APPROVED):
        _queue_to_requester(LAPSED, request, now=now, runtime=runtime)
    elif was == State.ACTIVE:
        _queue_to_requester(OVER, request, now=now, runtime=runtime)
        for reader in _concerned(request):
            _queue(OVER, request, reader, now=now, runtime=runtime)


def _people(side: str, request: AccessRequest) -> list[User]:
    """Return who may answer for a side; never the requester, under whatever account (P9)."""
    conditions: dict[str, ColumnElement[bool]] = {
        OMNIADMIN_SIDE: User.role == OMNIADMIN,
        CUSTOMER_SIDE: and_(User.role == ADMINISTRATOR, User.instance_id == request.instance_id),
        SUBJECT_SIDE: User.id == (request.subject_id or 0),
    }
    query = select(User).where(
        conditions[side],
        User.kind == REGULAR,
        User.active.is_(True),
        User.password_hash.is_not(None),
        User.made_in_request_id.is_(None) | User.vouched_at.is_not(None),
        User.email != request.requester_email,
    )
    return list(db.session.scalars(query.order_by(User.id)))


def _concerned(request: AccessRequest) -> list[User]:
    return _people(SUBJECT_SIDE if request.kind == IMPERSONATION else CUSTOMER_SIDE, request)


def _queue_to_requester(template: str, request: AccessRequest, *, now: datetime, runtime: Runtime) -> None:
    requester = db.session.get(User, request.requester_id)
    if requester is not None:
        _queue(template, request, requester, now=now, runtime=runtime)


def _queue(template: str, request: AccessRequest, reader: User, *, now: datetime, runtime: Runtime, **ids: int) -> None:
    enqueue(
        template,
        recipient=reader.email,
        ids={"request": request.id, "reader": reader.id, **ids},
        request_id=request.id,
        now=now,
        runtime=runtime,
        promptly=False,
    )


def _common(ids: dict[str, int], runtime: Runtime) -> tuple[AccessRequest, dict[str, Any]] | None:
    """Return the request and what every mail about it says, in its reader's time zone."""
    request, reader = db.session.get(AccessRequest, ids["request"]), db.session.get(User, ids["reader"])
    if request is None or reader is None:
        return None
    instance = instance_source().by_id(request.instance_id)
    at_home = reader.instance_id == request.instance_id and instance is not None
    link = f"{instance.url}/support-access" if at_home and instance else request_url(request, runtime)
    mine = reader.id == request.requester_id
    told = {
        **facts(request, runtime, reader=reader),
        "link": link,
        "mine": mine,
        "impersonation": request.kind == IMPERSONATION,
        "subject": request.subject_name,
        "subject_is_reader": reader.id == request.subject_id,
        "subject_email": request.account_email,
    }
    return request, told


def _asked(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    extension = db.session.get(Extension, ids["extension"]) if ids["extension"] else None
    if found is None:
        return None
    request, told = found
    waiting = extension.state == PENDING if extension else request.state == State.PENDING_APPROVAL
    until = request.ends_at if extension else request.lapses_at
    if not waiting or until is None:
        return None
    more = None
    if extension is not None:
        more = {"added": words.duration(extension.added_seconds), "reason": extension.reason}
    return {**told, "until": moment(until, ids["reader"], runtime), "more": more}


def _approved(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None or found[0].state != State.APPROVED or found[0].lapses_at is None:
        return None
    request, told = found
    until = moment(found[0].lapses_at, ids["reader"], runtime)
    return {**told, "until": until, "approvals": _answers(request)}


def _rejected(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None:
        return None
    request, told = found
    no = next((one for one in queries.approvals_of(request) if one.decision == REJECTED), None)
    return {**told, "by": no.decided_by_name if no else None, "note": no.note if no else None}


def _lapsed(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None:
        return None
    request, told = found
    return {**told, "was_approved": request.approved_at is not None}


def _inside(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None or State(found[0].state) not in OPEN or found[0].ends_at is None:
        return None
    return {**found[1], "until": moment(found[0].ends_at, ids["reader"], runtime), "approvals": _answers(found[0])}


def _over(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None or found[0].started_at is None or found[0].ending_at is None:
        return None
    request, told = found
    return {
        **told,
        "how": story.END_WORDS[EndReason(request.end_reason)] if request.end_reason else "Ended",
        "started": moment(found[0].started_at, ids["reader"], runtime),
        "lasted": words.duration(found[0].ending_at - found[0].started_at),
        "requests": request.activity_count,
        "made": [f"{user.full_name} <{user.email}>" for user in queries.made_in(request)],
    }


def _more_time(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> dict[str, Any] | None:
    found = _common(ids, runtime)
    if found is None or found[0].state != State.ACTIVE or found[0].ends_at is None:
        return None
    extension = queries.extension_of(found[0])
    granted = extension is not None and extension.state == "granted"
    return {**found[1], "granted": granted, "until": moment(found[0].ends_at, ids["reader"], runtime)}


def _answers(request: AccessRequest) -> list[str]:
    return [one.decided_by_name for one in queries.approvals_of(request) if one.decided_by_name]


COMPOSERS = {
    ASKED: _asked,
    APPROVED: _approved,
    REFUSED: _rejected,
    LAPSED: _lapsed,
    INSIDE: _inside,
    OVER: _over,
    MORE_TIME: _more_time,
}
