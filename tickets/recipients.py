"""Whose business an access is: who is told of it when it happens, and is looked at again when the mail is written.

A mail may wait for its server; whoever lost the role meanwhile, was deactivated or was marked (S25) gets none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select

from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, User
from tempadmin.accounts.queries import in_use
from tempadmin.db import db, run
from tickets.models import CUSTOMER_SIDE, IMPERSONATION, OMNIADMIN_SIDE, SUBJECT_SIDE, AccessRequest, Approval


def requester(request: AccessRequest) -> Select[User]:
    """Return the query of whoever asked, while they are an omniadmin."""
    return select(User).where(in_use(), User.id == request.requester_id, User.role == OMNIADMIN)


def other_omniadmins(request: AccessRequest) -> Select[User]:
    """Return the query of the requester's colleagues."""
    return _of_sides([OMNIADMIN_SIDE], request)


def omniadmins() -> Select[User]:
    """Return the query of every omniadmin who is in use."""
    return select(User).where(in_use(), User.role == OMNIADMIN).order_by(User.id)


def asked(request: AccessRequest, *, extension_id: int | None = None) -> Select[User]:
    """Return the query of who may still say yes or no; never the requester, under whatever account (P9)."""
    unanswered = select(Approval.side).where(
        Approval.request_id == request.id, Approval.extension_id == extension_id, Approval.decision.is_(None)
    )
    return _of_sides(db.session.scalars(unanswered.order_by(Approval.side)).all(), request)


def concerned(request: AccessRequest) -> Select[User]:
    """Return the query of whom a support session concerns: the user who is impersonated, else the administrators."""
    return _of_sides([SUBJECT_SIDE if request.kind == IMPERSONATION else CUSTOMER_SIDE], request)


# Built once: of every end somebody may have to be told.
_BY_ID = User.id.in_(bindparam("people", expanding=True))
_AT_HOME = and_(in_use(), User.role == ADMINISTRATOR, User.instance_id.in_(bindparam("instances", expanding=True)))
OF_AN_END = (
    select(User.id, User.instance_id, User.email, User.role, in_use().label("in_use"))
    .where(or_(_BY_ID, _AT_HOME))
    .order_by(User.id)
)


@dataclass(frozen=True)
class OfAnEnd:
    """Whom the end of a request may have to be told: rows of ``OF_AN_END``."""

    asker: Sequence[Any]
    """As ``requester``."""
    concerned: Sequence[Any]
    """As ``concerned``."""


def of_the_end(requests: Sequence[Any]) -> Mapping[int, OfAnEnd]:
    """Return for each request who asked and whom it concerns, by the same rules, in one statement for all."""
    ids = {one.requester_id for one in requests} | {one.subject_id for one in requests if one.kind == IMPERSONATION}
    rows = run(OF_AN_END, {"people": list(ids), "instances": list({one.instance_id for one in requests})}).all()
    by_id, at_home = {row.id: row for row in rows}, defaultdict[int, list[Any]](list)
    for row in rows:
        if row.in_use:
            at_home[row.instance_id].append(row)
    return {request.id: _of_one(request, by_id, at_home) for request in requests}


def _of_one(request: Any, by_id: Mapping[int, Any], at_home: Mapping[int, Sequence[Any]]) -> OfAnEnd:
    asker = by_id.get(request.requester_id)
    theirs = {request.requester_email} | (set() if asker is None else {asker.email})
    subject = request.subject_id if request.kind == IMPERSONATION else None
    return OfAnEnd(
        [] if asker is None or not asker.in_use or asker.role != OMNIADMIN else [asker],
        [
            one
            for one in at_home.get(request.instance_id, ())
            if one.id != request.requester_id and one.email not in theirs
            if (one.role == ADMINISTRATOR if subject is None else one.id == subject)
        ],
    )


def _of_sides(sides: Sequence[str], request: AccessRequest) -> Select[User]:
    belonging: dict[str, ColumnElement[bool]] = {
        OMNIADMIN_SIDE: User.role == OMNIADMIN,
        CUSTOMER_SIDE: and_(User.role == ADMINISTRATOR, User.instance_id == request.instance_id),
        SUBJECT_SIDE: and_(User.id == (request.subject_id or 0), User.instance_id == request.instance_id),
    }
    asker = db.session.get(User, request.requester_id)
    emails = {request.requester_email} | ({asker.email} if asker else set())
    others = select(User).where(in_use(), User.id != request.requester_id, User.email.not_in(emails))
    return others.where(or_(*(belonging[side] for side in sides)) if sides else User.id.in_([])).order_by(User.id)
