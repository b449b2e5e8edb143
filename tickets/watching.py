"""Reads for a customer's own page: what is open, what was, and what is being done inside.

An administrator sees every access to the instance; everybody else only those that were to see it as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, union_all

from instances.models import VirtualInstance
from tempadmin.accounts.models import ADMINISTRATOR, REGULAR, User
from tempadmin.db import db
from tempadmin.errors import NotFound
from tickets.models import IMPERSONATION, IS_OPEN, AccessRequest, Activity, Approval, Extension
from tickets.states import OPEN

SHOWN_ACTIVITY = 25


@dataclass(kw_only=True)
class Answers:
    """The approvals of one request and of its extension."""

    of_request: list[Approval] = field(default_factory=list)
    of_extension: list[Approval] = field(default_factory=list)
    extension: Extension | None = None

    def add(self, approval: Approval, extension: Extension | None) -> None:
        """Put an approval where it belongs."""
        if extension is None:
            self.of_request.append(approval)
        else:
            self.of_extension.append(approval)
            self.extension = extension


@dataclass(frozen=True, kw_only=True)
class Told:
    """A request with everything that was said about it."""

    request: AccessRequest
    answers: Answers

    @property
    def id(self) -> int:
        """The request's."""
        return self.request.id

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.request.state in OPEN


def theirs(person: User) -> ColumnElement[bool]:
    """Return the condition of the requests that a person of an instance may see."""
    here = AccessRequest.instance_id == person.instance_id
    if person.role == ADMINISTRATOR:
        return here
    return and_(here, AccessRequest.kind == IMPERSONATION, AccessRequest.subject_id == person.id)


def open_ids(person: User) -> Select[int]:
    """Return the query of what is open and concerns a person."""
    return select(AccessRequest.id).where(theirs(person), IS_OPEN)


def past_ids(person: User) -> Select[int]:
    """Return the query of what is over and concerns a person, newest first."""
    over = select(AccessRequest.id).where(theirs(person), AccessRequest.state.not_in(OPEN))
    return over.order_by(AccessRequest.id.desc())


def told(*queries: Select[int], values: Mapping[str, Any] | None = None) -> list[Told]:
    """Return the requests whose ids the queries find with these values, newest first, and all answers: one query."""
    found: dict[int, Told] = {}
    ids = union_all(*(select(one.subquery().c.id) for one in queries))
    query = (
        select(AccessRequest, Approval, Extension)
        .outerjoin(Approval, Approval.request_id == AccessRequest.id)
        .outerjoin(Extension, Extension.id == Approval.extension_id)
        .where(AccessRequest.id.in_(ids))
        .order_by(AccessRequest.id.desc(), Approval.id)
    )
    for request, approval, extension in db.session.execute(query, values):
        present = found.setdefault(request.id, Told(request=request, answers=Answers()))
        if approval is not None:
            present.answers.add(approval, extension)
    return list(found.values())


def answers_of(requests: Sequence[AccessRequest]) -> Mapping[int, Answers]:
    """Return whose yes each of some requests needs and what they said, by request: one query."""
    ids = select(AccessRequest.id).where(AccessRequest.id.in_([request.id for request in requests]))
    return {one.request.id: one.answers for one in told(ids)}


def id_of(public_id: str, person: User) -> Select[int]:
    """Return the query of one request, if a person may see it."""
    return select(AccessRequest.id).where(AccessRequest.public_id == public_id, theirs(person))


def the_one(found: Sequence[Told], public_id: str) -> Told:
    """Return the request of a public id.

    Raises
    ------
    NotFound
        When it is not among those found (S31).
    """
    for one in found:
        if one.request.public_id == public_id:
            return one
    raise NotFound("There is no such access here.")


def one(public_id: str, *, person: User) -> Told:
    """Return a request that a person may see; raises as ``the_one``."""
    return the_one(told(id_of(public_id, person)), public_id)


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
    query = select(User).where(User.instance_id == instance_id, _marked())
    if request_id is not None:
        query = query.where(or_(User.made_in_request_id == request_id, User.changed_in_request_id == request_id))
    return list(db.session.scalars(query.order_by(User.id)))


def instance_with_marked(instance_id: int) -> tuple[VirtualInstance, list[User]]:
    """Return an instance, whose policy its administrators see, and its marked accounts: one query."""
    query = (
        select(VirtualInstance, User)
        .outerjoin(User, and_(User.instance_id == VirtualInstance.id, _marked()))
        .where(VirtualInstance.id == instance_id)
        .order_by(User.id)
    )
    rows = db.session.execute(query).all()
    return rows[0][0], list(filter(None, (user for _, user in rows)))  # none: an outer join's empty half


def _marked() -> ColumnElement[bool]:
    unvouched = and_(User.made_in_request_id.is_not(None), User.vouched_at.is_(None))
    return and_(User.kind == REGULAR, or_(unvouched, User.changed_in_request_id.is_not(None)))
