"""Mails to a person about their own account: what changed, when, from where, and what to do if it was not them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from flask import Flask

from tempadmin.accounts import recovery
from tempadmin.accounts.models import OMNIADMIN, LoginSession, User
from tempadmin.accounts.queries import time_zone_of
from tempadmin.accounts.user_agents import device_words
from tempadmin.db import db
from tempadmin.outbox.queue import composers, enqueue
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source

ACCOUNT_OPENED: Final = "account_opened"
PASSWORD_CHANGED: Final = "password_changed"  # noqa: S105  # a mail's name
FACTOR_ADDED: Final = "factor_added"
FACTOR_CHANGED: Final = "factor_changed"
FACTOR_REMOVED: Final = "factor_removed"
RECOVERY_CODES_REPLACED: Final = "recovery_codes_replaced"
RECOVERY_CODE_USED: Final = "recovery_code_used"
ALL: Final = (
    ACCOUNT_OPENED,
    PASSWORD_CHANGED,
    FACTOR_ADDED,
    FACTOR_CHANGED,
    FACTOR_REMOVED,
    RECOVERY_CODES_REPLACED,
    RECOVERY_CODE_USED,
)


def init_app(app: Flask) -> None:
    """Register the composer of all these mails."""
    for template in ALL:
        composers(app)[template] = _compose


def tell(template: str, *, user: User, at: datetime, runtime: Runtime, session_id: int | None = None) -> None:
    """Queue a mail in the transaction of what it tells.

    Parameters
    ----------
    session_id
        The session that did it, if any: the mail names its device and address.
    """
    ids = {"user": user.id, "at": int(at.timestamp()), "session": session_id or 0}
    enqueue(template, recipient=user.email, ids=ids, now=at, runtime=runtime)


def _compose(ids: dict[str, int], _secret: str | None, _runtime: Runtime) -> dict[str, Any] | None:
    user = db.session.get(User, ids["user"])
    instance = None if user is None else instance_source().by_id(user.instance_id)
    if user is None or instance is None:
        return None
    return {
        "name": user.full_name,
        "instance": instance.name,
        "at": words.moment_in_mail(datetime.fromtimestamp(ids["at"], UTC), zone_name=time_zone_of(user)),
        "origin": _origin(ids["session"]),
        "link": f"{instance.url}/account",
        "codes_left": recovery.codes_left(user_id=user.id),
        "rescuer": "another omniadmin" if user.role == OMNIADMIN else f"an administrator of {instance.name}",
    }


def _origin(session_id: int) -> str | None:
    session = db.session.get(LoginSession, session_id) if session_id else None
    if session is None:
        return None
    device = device_words(session.user_agent)
    return f"{device} at {session.address}" if session.address else device
