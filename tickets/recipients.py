"""Whose business an access is: who is told of it when it happens, and is looked at again when the mail is written.

A mail may wait for its server; whoever lost the role meanwhile, was deactivated or was marked (S25) gets none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, or_, select

from tempadmin.accounts.models import ADMINISTRATOR, OMNIADMIN, User
from tempadmin.accounts.queries import in_use
from tempadmin.db import db
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


@dataclass(frozen=True)
class OfAnEnd:
    """Whom the end of a request may have to be told."""

    asker: Sequence[User]
    """As ``requester``."""
    concerned: Sequence[User]
    """As ``concerned``."""


def of_the_end(requests: Sequence[AccessRequest]) -> Mapping[int, OfAnEnd]:
    """Return for each request who asked and whom it concerns, by the same rules, in two statements for all."""
    askers = {request.requester_id for request in requests}
    present = dict(db.session.execute(select(User.id, User.email).where(User.id.in_(askers))).all())
    administers = and_(User.role == ADMINISTRATOR, User.instance_id.in_({one.instance_id for one in requests}))
    ids = askers | {one.subject_id for one in requests if one.kind == IMPERSONATION}
    told = select(User).where(in_use(), or_(User.id.in_(ids), administers)).order_by(User.id)
    people = db.session.scalars(told).all()
    at_home: dict[int, list[User]] = {}
    for user in people:
        at_home.setdefault(user.instance_id, []).append(user)
    return {
        request.id: OfAnEnd(
            [user for user in people if user.id == request.requester_id and user.role == OMNIADMIN],
            [
                user
                for user in at_home.get(request.instance_id, [])
                if user.id != request.requester_id
                and user.email not in (request.requester_email, present.get(request.requester_id))
                and (user.id == request.subject_id if request.kind == IMPERSONATION else user.role == ADMINISTRATOR)
            ],
        )
        for request in requests
    }


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
