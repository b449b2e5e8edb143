"""Ending one's own sessions in other browsers. It is a sign-out from afar, and has a sign-out's consequences."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from tempadmin.accounts import reproof, sessions
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.log import record
from tempadmin.db import db, retried_once, transaction
from tempadmin.errors import Conflict, NotFound
from tempadmin.runtime import Runtime, application

ENDED_BY_OWNER = "ended_by_owner"


@retried_once
def end_session(*, user_id: int, session_id: int, acting_id: int, runtime: Runtime) -> None:
    """End one of a person's sessions; one that is over already stays as it is.

    Raises
    ------
    NotFound
        When it is nobody's, or somebody else's.
    Conflict
        When it is the session that asks: signing out ends that.
    """
    if session_id == acting_id:
        raise Conflict("This is the session that you are using.", next_url="/logout", next_label="Sign out")
    with transaction():
        user = reproof.locked_person(user_id, session_id=acting_id)
        row = db.session.get(LoginSession, session_id)
        if row is None or row.user_id != user_id:
            raise NotFound("There is no such session of yours.")
        _end(user, [session_id], runtime)


@retried_once
def end_other_sessions(*, user_id: int, acting_id: int, runtime: Runtime) -> int:
    """End all of a person's sessions but the one that asks; return how many."""
    with transaction():
        user = reproof.locked_person(user_id, session_id=acting_id)
        return _end(user, set(sessions.live_ids(user_id=user_id)) - {acting_id}, runtime)


def _end(user: User, session_ids: Collection[int], runtime: Runtime) -> int:
    """Send the signals first, then lock the sessions (design §2)."""
    chosen = select(LoginSession).where(LoginSession.id.in_(session_ids), LoginSession.ended_at.is_(None))
    rows = db.session.scalars(chosen.order_by(LoginSession.id)).all()
    now, actor = runtime.now(), reproof.myself(user)
    for row in rows:
        sessions.session_ended.send(application(), row=row, reason=ENDED_BY_OWNER, actor=actor, at=now)
    sessions.revoke([row.id for row in rows], reason=ENDED_BY_OWNER, now=now)
    if rows:
        record("session.ended_by_owner", instance_id=user.instance_id, actor=actor, at=now, sessions=len(rows))
    return len(rows)
