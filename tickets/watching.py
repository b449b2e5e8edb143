"""Reads for a customer's own page: what is open, what was, and what is being done inside.

An administrator sees every access to the instance; everybody else only those that were to see it as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select, union_all

from tempadmin.accounts.models import ADMINISTRATOR, REGULAR, User
from tempadmin.db import db
from tempadmin.errors import NotFound
from tickets.models import IMPERSONATION, AccessRequest, Activity, Approval, Extension
from tickets.states import OPEN, State

SHOWN_ACTIVITY = 25


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The approvals of one request and of its extension."""

    of_request: list[Approval] = field(default_factory=list)
    of_extension: list[Approval] = field(default_factory=list)
    extension: Extension | None = None


def theirs(person: User) -> ColumnElement[bool]:
    """Return the condition of the requests that a person of an instance may see."""
    here = AccessRequest.instance_id == person.instance_id
    if person.role == ADMINISTRATOR:
        return here
    return and_(here, AccessRequest.kind == IMPERSONATION, AccessRequest.subject_id == person.id)


def open_requests(person: User) -> list[AccessRequest]:
    """Return what is open and concerns a person, those inside first."""
    query = select(AccessRequest).where(theirs(person), AccessRequest.state.in_(OPEN)).order_by(AccessRequest.id)
    return sorted(db.session.scalars(query), key=lambda one: one.state != State.ACTIVE)


def history(person: User) -> Select[AccessRequest]:
    """Return the query of what is over and concerns a person, newest first."""
    return (
        select(AccessRequest).where(theirs(person), AccessRequest.state.not_in(OPEN)).order_by(AccessRequest.id.desc())
    )


def one(public_id: str, *, person: User) -> AccessRequest:
    """Return a request that a person may see.

    Raises
    ------
    NotFound
        When there is none, or it is none of theirs (S31).
    """
    found = db.session.scalars(
        select(AccessRequest).where(AccessRequest.public_id == public_id, theirs(person))
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such access here.")
    return found


def answers_of(requests: Sequence[AccessRequest]) -> Mapping[int, Answers]:
    """Return whose yes each request needs and what they said, in one query."""
    query = (
        select(Approval, Extension)
        .outerjoin(Extension, Extension.id == Approval.extension_id)
        .where(Approval.request_id.in_([request.id for request in requests]))
        .order_by(Approval.id)
    )
    found: dict[int, Answers] = {request.id: Answers() for request in requests}
    for approval, extension in db.session.execute(query) if requests else ():
        present = found[approval.request_id]
        if extension is None:
            present.of_request.append(approval)
        else:
            present.of_extension.append(approval)
            found[approval.request_id] = Answers(
                of_request=present.of_request, of_extension=present.of_extension, extension=extension
            )
    return found


def latest_activity(requests: Sequence[AccessRequest]) -> Mapping[int, list[Activity]]:
    """Return the newest rows of each request, in one query that reads no more than it shows."""
    found: dict[int, list[Activity]] = {request.id: [] for request in requests}
    if not requests:
        return found
    newest = [
        select(Activity.id)
        .where(Activity.request_id == request.id)
        .order_by(Activity.id.desc())
        .limit(SHOWN_ACTIVITY)
        .subquery()
        for request in requests
    ]
    ids = union_all(*(select(part.c.id) for part in newest))
    for row in db.session.scalars(select(Activity).where(Activity.id.in_(ids)).order_by(Activity.id.desc())):
        found[row.request_id].append(row)
    return found


def activity_of(request: AccessRequest) -> Select[Activity]:
    """Return the query of everything that was done inside, newest first."""
    return select(Activity).where(Activity.request_id == request.id).order_by(Activity.id.desc())


def marked_accounts(*, instance_id: int, request_id: int | None = None) -> list[User]:
    """Return the accounts that support sessions made or changed, and that nobody vouched for since (S25)."""
    unvouched = or_(
        and_(User.made_in_request_id.is_not(None), User.vouched_at.is_(None)), User.changed_in_request_id.is_not(None)
    )
    query = select(User).where(User.instance_id == instance_id, User.kind == REGULAR, unvouched)
    if request_id is not None:
        query = query.where(or_(User.made_in_request_id == request_id, User.changed_in_request_id == request_id))
    return list(db.session.scalars(query.order_by(User.id)))


def last_seen(activity: Sequence[Activity]) -> datetime | None:
    """Return when something was done last."""
    return activity[0].occurred_at if activity else None
