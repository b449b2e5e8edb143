"""Reads about accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask
from sqlalchemy import ColumnElement, and_, or_, select

from tempadmin.accounts import recovery
from tempadmin.accounts.models import REGULAR, LoginSession, SecondFactor, User
from tempadmin.db import db
from tempadmin.runtime import application
from tempadmin.web.context import instance_source

WARNINGS = "tempadmin.sign_out_warnings"
SHOWN_SESSIONS = 50


def in_use() -> ColumnElement[bool]:
    """Return the condition of a regular account that somebody uses, and that no support session made unseen (S25)."""
    return and_(
        User.kind == REGULAR,
        User.active.is_(True),
        User.password_hash.is_not(None),
        or_(User.made_in_request_id.is_(None), User.vouched_at.is_not(None)),
    )


def time_zone_of(user: User) -> str | None:
    """Return the name of the zone in which a person reads times: their own choice, else their instance's."""
    instance = instance_source().by_id(user.instance_id)
    return user.time_zone or (instance.time_zone if instance else None)


def warning_sources(app: Flask) -> list[Callable[[LoginSession], list[str]]]:
    """Return what other floors say about the consequences of signing out."""
    return cast("list[Callable[[LoginSession], list[str]]]", app.extensions.setdefault(WARNINGS, []))


def sign_out_warnings(session: LoginSession) -> list[str]:
    """Return what ends with this session, in sentences."""
    app = application()
    return [sentence for source in warning_sources(app) for sentence in source(session)]


def second_factor_facts(*, user_id: int) -> dict[str, Any]:
    """Return since when a person has a second factor, and how many recovery codes are left."""
    since = db.session.scalar(select(SecondFactor.created_at).where(SecondFactor.user_id == user_id))
    return {"factor_since": since, "recovery_codes_left": recovery.codes_left(user_id=user_id)}


def own_sessions(*, user_id: int, now: datetime, limit: int = SHOWN_SESSIONS) -> list[LoginSession]:
    """Return a person's sessions that may still act, the last used first."""
    live = select(LoginSession).where(
        LoginSession.user_id == user_id, LoginSession.ended_at.is_(None), LoginSession.expires_at > now
    )
    rows = db.session.scalars(live.order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc()).limit(limit))
    return [row for row in rows if now < row.last_seen_at + timedelta(seconds=row.idle_seconds)]
