"""The mail of an invitation."""

from __future__ import annotations

from typing import Any

from flask import Flask

from instances.inviting import INVITATION
from tempadmin.accounts import invitations
from tempadmin.accounts.models import User
from tempadmin.db import db
from tempadmin.outbox.queue import composers
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tempadmin.web.context import instance_source


def init_app(app: Flask) -> None:
    """Register the composer."""
    composers(app)[INVITATION] = _invitation


def _invitation(ids: dict[str, int], secret: str | None, _runtime: Runtime) -> dict[str, Any] | None:
    user = db.session.get(User, ids["user"])
    instance = None if user is None else instance_source().by_id(user.instance_id)
    if user is None or instance is None or secret is None or not user.active:
        return None
    return {
        "name": user.full_name,
        "inviter": _name(ids.get("inviter")) or instance.name,
        "instance": instance.name,
        "role": user.role,
        "lifetime": words.duration(invitations.LIFETIME),
        "link": invitations.link(instance, secret),
    }


def _name(user_id: int | None) -> str | None:
    user = db.session.get(User, user_id) if user_id else None
    return None if user is None else user.full_name
