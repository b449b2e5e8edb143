"""How an announcement's ids become words: for its one reader, as things stand when the mail is written.

A composer returns ``None`` for a mail that would come too late, or to somebody whom it concerns no more.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import Select

from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.outbox.queue import composers
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tickets import announcements, queries, recipients, story
from tickets.models import GRANTED, PENDING, REJECTED, AccessRequest, Approval, Extension
from tickets.notices import Words, facts, moment, page_url
from tickets.states import OPEN, EndReason, State


def init_app(app: Flask) -> None:
    """Register the composers."""
    composers(app).update(
        {
            announcements.ASKED: _asked,
            announcements.APPROVED: _approved,
            announcements.REFUSED: _rejected,
            announcements.LAPSED: _lapsed,
            announcements.STOPPED: _stopped,
            announcements.INSIDE: _inside,
            announcements.OVER: _over,
            announcements.MORE_TIME: _more_time,
        }
    )


def _asked(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    extension = db.session.get_one(Extension, ids["extension"]) if ids["extension"] else None
    reader = _still(recipients.asked(request, extension_id=extension.id if extension else None), ids)
    waiting = extension.state == PENDING if extension else request.state == State.PENDING_APPROVAL
    until = request.ends_at if extension else request.lapses_at
    if reader is None or not waiting or until is None or runtime.now() >= until:
        return None
    more = None
    if extension is not None:
        added, asked_at = words.duration(extension.added_seconds), moment(extension.asked_at, reader)
        more = {"added": added, "reason": extension.reason, "asked_at": asked_at}
    return {**_told(request, reader, runtime), "deadline": moment(until, reader), "more": more}


def _approved(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.requester(request), ids)
    if reader is None or request.state != State.APPROVED or request.lapses_at is None:
        return None
    told = {**_told(request, reader, runtime), **_answers(queries.approvals_of(request))}
    return {**told, "deadline": moment(request.lapses_at, reader)}


def _rejected(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.requester(request), ids)
    if reader is None:
        return None
    return {**_told(request, reader, runtime), **_answers(queries.approvals_of(request))}


def _lapsed(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.requester(request), ids)
    if reader is None:
        return None
    return {**_told(request, reader, runtime), "was_approved": request.approved_at is not None}


def _stopped(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.requester(request), ids)
    return None if reader is None else {**_told(request, reader, runtime), "how": _how(request)}


def _inside(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.concerned(request), ids)
    if reader is None or State(request.state) not in OPEN or request.ends_at is None:
        return None
    told = {**_told(request, reader, runtime), **_answers(queries.approvals_of(request))}
    return {**told, "deadline": moment(request.ends_at, reader)}


def _over(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.concerned(request), ids) or _still(recipients.requester(request), ids)
    if reader is None or request.started_at is None or request.ending_at is None:
        return None
    told, count = _told(request, reader, runtime), request.activity_count
    return {
        **told,
        "how": _how(request),
        "started": moment(request.started_at, reader),
        "ended": moment(request.ending_at, reader),
        "lasted": words.duration(request.ending_at - request.started_at),
        "requests": f"{count} request{'' if count == 1 else 's'}",
        "made": _accounts(queries.made_in(request), named=told["at_home"]),
        "changed": _accounts(queries.changed_in(request), named=told["at_home"]),
    }


def _more_time(ids: dict[str, int], _secret: str | None, runtime: Runtime) -> Words | None:
    request = db.session.get_one(AccessRequest, ids["request"])
    reader = _still(recipients.concerned(request), ids) or _still(recipients.requester(request), ids)
    extension = queries.extension_of(request)
    if reader is None or extension is None or request.state != State.ACTIVE or request.ends_at is None:
        return None
    return {
        **_told(request, reader, runtime),
        **_answers(queries.approvals_of(request, extension_id=extension.id)),
        "granted": extension.state == GRANTED,
        "added": words.duration(extension.added_seconds),
        "added_reason": extension.reason,
        "deadline": moment(request.ends_at, reader),
    }


def _still(people: Select[User], ids: dict[str, int]) -> User | None:
    """Return the reader if the mail still concerns them."""
    return db.session.scalars(people.where(User.id == ids["reader"])).one_or_none()


def _told(request: AccessRequest, reader: User, runtime: Runtime) -> Words:
    return {
        **facts(request, reader=reader),
        "link": page_url(request, reader=reader, runtime=runtime),
        "mine": reader.id == request.requester_id,
        "at_home": reader.instance_id == request.instance_id,
    }


def _answers(approvals: list[Approval]) -> Words:
    """Return who said yes, who said no, and what they wrote."""
    yes = [one.decided_by_name for one in approvals if one.decided_by_name and one.decision != REJECTED]
    no = next((one.decided_by_name for one in approvals if one.decision == REJECTED), None)
    notes: list[tuple[str, Any]] = [(f"{one.decided_by_name} wrote", one.note) for one in approvals if one.note]
    return {"approvers": " and ".join(yes), "by": no or "Somebody", "notes": notes}


def _how(request: AccessRequest) -> str:
    """Return how a request ended, and by whom where it was not the requester or the service."""
    how = story.END_WORDS[EndReason(request.end_reason or EndReason.CLEANED_UP)]
    known = request.ended_by_name in (None, "tempadmin", request.requester_name)
    return how if known else f"{how} ({request.ended_by_name})"


def _accounts(people: list[User], *, named: bool) -> str:
    """Return accounts one a line; a customer's people are named on that customer's side alone."""
    if not people:
        return "none"
    return "\n".join(f"{one.full_name} <{one.email}>" for one in people) if named else str(len(people))
