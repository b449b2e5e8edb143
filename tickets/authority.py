"""What else ends accesses: sign-out, lost authority or changed credentials, an archived instance (S23).

Each is heard by a signal and acts in its sender's transaction.
"""

from __future__ import annotations

from datetime import datetime

from flask import Flask, g
from sqlalchemy import bindparam, select

from instances.registry import instance_archived
from tempadmin.accounts.authority import authority_lost
from tempadmin.accounts.models import OMNIADMIN, LoginSession, User
from tempadmin.accounts.queries import warning_sources
from tempadmin.accounts.sessions import session_checks, session_ended
from tempadmin.audit.log import SERVICE, Actor
from tempadmin.db import db
from tickets import queries
from tickets.end import end_all_open
from tickets.models import IMPERSONATION, KINDS, AccessRequest
from tickets.states import WITH_DEADLINE, EndReason, State

# Built once: each page of a support session asks.
BEHIND = (
    select(AccessRequest, User.active, User.role)
    .outerjoin(User, User.id == AccessRequest.requester_id)
    .where(AccessRequest.id == bindparam("request"))
    .execution_options(populate_existing=True)
)


def init_app(app: Flask) -> None:
    """Listen, and add this floor's condition to every support session."""
    session_checks(app).append(why_over)
    warning_sources(app).append(warnings)
    session_ended.connect(_signed_out, sender=app)
    authority_lost.connect(_lost, sender=app)
    instance_archived.connect(_archived, sender=app)


def why_over(session: LoginSession, now: datetime) -> str | None:
    """Let a support session act only while its request is active and its time is not over (S20)."""
    if session.access_request_id is None:
        return None
    found = db.session.execute(BEHIND, {"request": session.access_request_id}).one_or_none()
    request, active, role = found or (None, None, None)
    g.access_behind = request
    if request is None or request.state != State.ACTIVE or request.ends_at is None or not _is_of(request, session):
        return "access_over"
    # What takes the role ends the access in its own transaction; this holds also where somebody took it by hand.
    if not active or role != OMNIADMIN:
        return "requester_disabled"
    return "time_limit" if now >= request.ends_at else None


def _is_of(request: AccessRequest, session: LoginSession) -> bool:
    """Tell whether request and session speak of the same account, place and person; else neither is believed (S36)."""
    told = (request.subject_id, request.instance_id, request.requester_id)
    return request.kind in KINDS and told == (session.user_id, session.instance_id, session.actor_id)


def access_behind(session: LoginSession) -> AccessRequest | None:
    """Return the request behind the acting support session, as the check of this HTTP request read it."""
    found: AccessRequest | None = g.get("access_behind")
    return found if found is not None and found.id == session.access_request_id else None


def warnings(session: LoginSession) -> list[str]:
    """Say which accesses end with a sign-out on the default instance, and what is lost with each."""
    return [_warning(request) for request in queries.all_open_of(requester_id=session.user_id)]


def _warning(request: AccessRequest) -> str:
    if State(request.state) in WITH_DEADLINE:
        return f"Your request for {request.instance_name} is cancelled."
    if request.kind == IMPERSONATION:
        return f"Your access to {request.instance_name} as {request.subject_name} ends; their account stays as it is."
    return f"Your access to {request.instance_name} ends, and its account is deleted."


def _signed_out(_app: Flask, *, row: LoginSession, reason: str, actor: Actor, at: datetime) -> None:
    if row.access_request_id is not None:  # the impersonated user ended it from their own list of sessions
        end_all_open(AccessRequest.id == row.access_request_id, reason=EndReason.ENDED_BY_SUBJECT, actor=actor, now=at)
        return
    user = db.session.get(User, row.user_id)
    if user is not None and user.role == OMNIADMIN:
        end_all_open(AccessRequest.requester_id == user.id, reason=EndReason.REQUESTER_SIGNED_OUT, actor=actor, now=at)


def _lost(_app: Flask, *, user_id: int, reason: str, actor: Actor, at: datetime) -> None:
    end_all_open(AccessRequest.requester_id == user_id, reason=EndReason(reason), actor=actor, now=at)
    end_all_open(AccessRequest.subject_id == user_id, reason=EndReason.SUBJECT_CHANGED, actor=actor, now=at)


def _archived(_app: Flask, *, instance_id: int, at: datetime) -> None:
    end_all_open(AccessRequest.instance_id == instance_id, reason=EndReason.INSTANCE_ARCHIVED, actor=SERVICE, now=at)
