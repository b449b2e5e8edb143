"""Who makes this request: Flask-Login by ``request_loader`` alone, our own rows behind it (design §6).

No ``login_user``, no remember-me: a cookie's secret is looked up, its row judged, on every request (S20).
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from flask import Flask, Request, g, request
from flask_login import LoginManager, UserMixin, current_user
from werkzeug.local import LocalProxy

from tempadmin.accounts import sessions
from tempadmin.accounts.models import LoginSession, User
from tempadmin.accounts.sign_in import Client
from tempadmin.audit.log import Actor
from tempadmin.db import db
from tempadmin.runtime import application, current_runtime
from tempadmin.web.context import current_instance
from tempadmin.web.security import DEVICE_COOKIE, SESSION_COOKIE, read_cookie

SEEN_EVERY = timedelta(seconds=15)
LONGEST_VIEW = timedelta(minutes=2)
"""More than any view takes: no statement runs longer than 30 s, no connector much longer."""

login_manager = LoginManager()


class SignedIn(UserMixin):
    """A live session and its user as the request found them, as Flask-Login wants to see them."""

    def __init__(self, session: LoginSession, user: User) -> None:
        self.session, self.user = session, user

    def get_id(self) -> str:
        """Return the session's id; nothing is ever looked up by it."""
        return str(self.session.id)


def init_app(app: Flask) -> None:
    """Have Flask-Login ask ``load``."""
    login_manager.init_app(app)
    login_manager.request_loader(load)
    login_manager.session_protection = None
    # No cookie can bear this name. Flask-Login would ask ``remember_token`` first, and not ``load`` at all: one that a
    # sibling host had planted kept its owner out, and ``a|b`` broke every page (measured).
    app.config["REMEMBER_COOKIE_NAME"] = "=;"


def load(_request: Request) -> SignedIn | None:
    """Return who is behind this request's session cookie, if that session may act now."""
    if not g.get("reads_session", False):
        return None
    secret = read_cookie(SESSION_COOKIE)
    if not secret:
        return None
    runtime = current_runtime()
    found = sessions.find_with_user(secret, instance_id=current_instance().id, runtime=runtime)
    if found is None:
        return None
    (row, user), now = found, runtime.now()
    if sessions.why_dead(row, user, now) is not None:
        return None
    # Kept as read: no commit of this request takes away, or reads again, who makes it. Use cases read by id.
    db.session.expunge_all()
    used = now - row.last_seen_at >= _seen_every(row) and not g.get("quiet", False)
    if used and not sessions.touch(session_id=row.id, now=now):
        return None
    g.acting_session_id = row.id
    sessions.session_used.send(application(), row=row)
    return SignedIn(row, user)


def _seen_every(row: LoginSession) -> timedelta:
    """Return how old the note of a session's last use may be before a request renews it at its beginning.

    A support session's idle limit deletes an account, so each use of it counts, to the second (P10): its floor notes
    that at the request's end, with the activity. Only where the limit could pass before that end, which is after
    half of it or where no more is left than a view may take, it must not wait.
    """
    idle = timedelta(seconds=row.idle_seconds)
    if row.is_support:
        return max(timedelta(0), min(idle / 2, idle - LONGEST_VIEW))
    return min(SEEN_EVERY, idle / 20)


def forget_if_over() -> None:
    """Forget who makes this request if their session ended during it: an error page must not speak of gone rows."""
    session_id = g.get("acting_session_id")
    if session_id is not None and not sessions.is_alive(session_id):
        g.reads_session = False
        g.pop("acting_session_id")
        g.pop("_login_user", None)  # where Flask-Login keeps what request_loader returned


def signed_in() -> SignedIn | None:
    """Return who makes this request, if that session may act: Flask-Login's answer itself, not its proxy."""
    who = cast(LocalProxy[UserMixin], current_user)._get_current_object()
    return who if isinstance(who, SignedIn) else None


def acting_session() -> LoginSession | None:
    """Return the session that makes this request, or ``None``."""
    who = signed_in()
    return None if who is None else who.session


def person() -> User:
    """Return the account that acts; only behind a rule with roles."""
    return cast(SignedIn, signed_in()).user


def client() -> Client:
    """Return where this request comes from."""
    return Client(address=request.remote_addr, user_agent=request.user_agent.string, device=read_cookie(DEVICE_COOKIE))


def actor() -> Actor:
    """Return the real person who sits there, for the record."""
    session = cast(SignedIn, signed_in()).session
    return Actor(id=session.actor_id, name=session.actor_name)
