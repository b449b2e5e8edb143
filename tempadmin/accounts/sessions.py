"""Login sessions: opened with a fresh secret, re-read on every request, re-checked under lock before every commit.

A cookie holds nothing but an opaque secret; the row behind its digest decides (S20). Other floors add their own
conditions with ``session_checks`` (an access request that is no longer active ends its support session's life) and
hear of ends through ``session_ended``, which is sent before the session's row is locked (lock order, design §2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast

import structlog
from blinker import Signal
from flask import Flask, current_app, g, has_request_context
from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from tempadmin.accounts.models import OMNIADMIN, LoginSession, User
from tempadmin.audit.log import Actor, record
from tempadmin.db import claimed, db, lock, retried_once, run, transaction
from tempadmin.errors import Forbidden, Unreadable
from tempadmin.keys import new_secret
from tempadmin.runtime import Runtime, application, current_runtime

PURPOSE = "session"
CHECKS = "tempadmin.session_checks"
ENDED_HERE = "ended_sessions"
SUPPORT_PREFIX = "support."

# Built once: nearly every request reads its session, and whatever changes something locks it again.
_WITH_USER = select(LoginSession, User).join(User, User.id == LoginSession.user_id)
BY_DIGEST = _WITH_USER.where(
    LoginSession.digest.in_(bindparam("digests", expanding=True)), LoginSession.instance_id == bindparam("instance")
)
# Whatever takes a person's right to act ends their sessions with it, so the one lock is enough to wait for (S23).
LOCK_WITH_USER = (
    _WITH_USER.where(LoginSession.id == bindparam("session"))
    .with_for_update(of=LoginSession)
    .execution_options(populate_existing=True)
)
_SESSIONS = cast(Table, LoginSession.__table__)
ADD = insert(_SESSIONS).inline()
NOTE_USE = (
    update(_SESSIONS)
    .where(_SESSIONS.c.id == bindparam("session"), _SESSIONS.c.ended_at.is_(None))
    .values(last_seen_at=bindparam("now"))
)
_THESE = _SESSIONS.c.id.in_(bindparam("sessions", expanding=True))
_LIVE = select(_SESSIONS.c.id).where(_SESSIONS.c.ended_at.is_(None)).order_by(_SESSIONS.c.id).with_for_update()
LOCK_LIVE = _LIVE.where(_THESE)
LOCK_LIVE_OF_REQUESTS = _LIVE.where(_SESSIONS.c.access_request_id.in_(bindparam("requests", expanding=True)))
END = update(_SESSIONS).where(_THESE).values(ended_at=bindparam("now"), end_reason=bindparam("reason"))

log = structlog.get_logger()

Check = Callable[[LoginSession, datetime], str | None]

session_ended = Signal()
"""Sent with ``row`` (LoginSession), ``reason``, ``actor`` and ``at`` inside the transaction that ends a session."""


session_used = Signal()
"""Sent with ``row`` (LoginSession) when a request turns out to be made by a session that may act."""


class SessionOver(Forbidden):
    """The acting session ended while its request was at work; nothing of it was kept (P3)."""


def session_checks(app: Flask) -> list[Check]:
    """Return the conditions that other floors add; each gives a reason when a session may not go on."""
    return cast("list[Check]", app.extensions.setdefault(CHECKS, []))


def open_session(
    *,
    user: User,
    actor: Actor,
    now: datetime,
    lifetime: timedelta,
    idle: timedelta,
    runtime: Runtime,
    mfa_at: datetime | None = None,
    access_request_id: int | None = None,
    address: str | None = None,
    user_agent: str | None = None,
) -> str:
    """Add a session to the open transaction and return its secret, which exists nowhere else (S01, S21)."""
    # The prefix lets the sign-in page say that a support session is over when nothing else is left of it.
    secret = new_secret() if access_request_id is None else SUPPORT_PREFIX + new_secret()
    row = {
        "digest": runtime.keys.digest(PURPOSE, secret),
        "user_id": user.id,
        "actor_id": actor.id or user.id,
        "actor_name": actor.name,
        "instance_id": user.instance_id,
        "access_request_id": access_request_id,
        "created_at": now,
        "last_seen_at": now,
        "expires_at": now + lifetime,
        "idle_seconds": int(idle.total_seconds()),
        "mfa_at": mfa_at,
        "address": address,
        "user_agent": (user_agent or "")[:300] or None,
    }
    run(ADD, row)
    return secret


def find(secret: str, *, instance_id: int, runtime: Runtime) -> LoginSession | None:
    """Return the session of a cookie's secret, alive or not; another instance's sessions do not exist here (P8)."""
    found = find_with_user(secret, instance_id=instance_id, runtime=runtime)
    return None if found is None else found[0]


def find_with_user(secret: str, *, instance_id: int, runtime: Runtime) -> tuple[LoginSession, User] | None:
    """As ``find``, with the session's user in the same query."""
    wanted = {"digests": runtime.keys.digests(PURPOSE, secret), "instance": instance_id}
    found = db.session.execute(BY_DIGEST, wanted).one_or_none()
    return None if found is None else (found[0], found[1])


def why_dead(row: LoginSession, user: User | None, now: datetime) -> str | None:
    """Return why a session may not act at ``now``, or ``None`` while it may; what cannot be read may not (S36)."""
    try:
        return _why_dead(row, user, now)
    except (Unreadable, TypeError):
        log.exception("session.unreadable", session_id=row.id)
        return "unreadable"


def _why_dead(row: LoginSession, user: User | None, now: datetime) -> str | None:
    if row.ended_at is not None:
        return row.end_reason or "ended"
    if now >= row.expires_at:
        return "time_limit"
    if now >= row.last_seen_at + timedelta(seconds=row.idle_seconds):
        return "idle"
    if user is None or not user.active:
        return "deactivated"
    reasons = (check(row, now) for check in (_lacks_second_factor(user), *session_checks(current_app)))
    return next((reason for reason in reasons if reason is not None), None)


def _lacks_second_factor(user: User) -> Check:
    """Refuse an omniadmin's session without a second factor, wherever it came from (S13)."""
    return lambda row, _now: "no_second_factor" if user.role == OMNIADMIN and row.mfa_at is None else None


def is_alive(session_id: int) -> bool:
    """Tell whether a session may still act; for streams, between their parts (P3)."""
    row = db.session.get(LoginSession, session_id)
    return row is not None and why_dead(row, db.session.get(User, row.user_id), current_runtime().now()) is None


def recheck_acting(session: Session) -> None:
    """Refuse to commit for a session that ended meanwhile: the last lock before the audit heads (P3, design §2).

    An end waits for this lock, or this transaction sees the end. What ends sessions itself (logout, an end,
    redemption) is exempt for the sessions that it ends.
    """
    session_id = g.get("acting_session_id") if has_request_context() else None
    if session_id is None or session.info["as_service"] or session_id in session.info.get(ENDED_HERE, ()):
        return
    session.flush()
    found = session.execute(LOCK_WITH_USER, {"session": session_id}).one_or_none()
    if found is None or why_dead(found[0], found[1], current_runtime().now()) is not None:
        raise SessionOver("Your session ended while this was at work. Nothing of it was kept.")


def revoke(session_ids: Iterable[int], *, reason: str, now: datetime) -> None:
    """End sessions in the open transaction, locked by ascending id; rows that were read before do not learn of it."""
    if wanted := list(session_ids):
        _end(run(LOCK_LIVE, {"sessions": wanted}).scalars().all(), reason=reason, now=now)


def revoke_of_requests(request_ids: Sequence[int], *, reason: str, now: datetime) -> None:
    """End the support sessions that these requests gave, as ``revoke`` does."""
    _end(run(LOCK_LIVE_OF_REQUESTS, {"requests": request_ids}).scalars().all(), reason=reason, now=now)


def _end(locked: Sequence[int], *, reason: str, now: datetime) -> None:
    if locked:
        run(END, {"sessions": locked, "now": now, "reason": reason})
        db.session().info.setdefault(ENDED_HERE, set()).update(locked)


def live_ids(*, user_id: int) -> list[int]:
    """Return the ids of a user's sessions that were not ended."""
    rows = select(LoginSession.id).where(LoginSession.user_id == user_id, LoginSession.ended_at.is_(None))
    return list(db.session.scalars(rows))


@retried_once
def sign_out(*, session_id: int, runtime: Runtime) -> None:
    """End one session for good: its cookie is worthless from the commit on (S20)."""
    with transaction():
        user_id = db.session.scalar(select(LoginSession.user_id).where(LoginSession.id == session_id))
        # Whoever asks for access holds this row: what they are about to commit is seen, and ends with the session.
        person = None if user_id is None else lock(User, user_id)
        row = db.session.get(LoginSession, session_id)
        if person is None or row is None or row.ended_at is not None:
            return
        now = runtime.now()
        actor = Actor(id=row.actor_id, name=row.actor_name)
        session_ended.send(application(), row=row, reason="logout", actor=actor, at=now)
        revoke([session_id], reason="logout", now=now)
        record("session.signed_out", instance_id=row.instance_id, actor=actor, at=now)


def touch(*, session_id: int, now: datetime) -> bool:
    """Note that a session was used; never revives an ended one. Return whether it was still alive."""
    with transaction(as_service=True):
        return claimed(NOTE_USE, {"session": session_id, "now": now})
