"""Leftovers that will not go, as omniadmins see them on the page *Jobs* (P11)."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from instances.models import VirtualInstance
from scheduler.sections import Section, sections
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tickets import leftovers
from tickets.leftover_model import Leftover

SHOWN = 20


def init_app(app: Flask) -> None:
    """Add them to the page."""
    sections(app).append(Section(template="tickets/_leftovers.html", values=stuck))


def stuck() -> dict[str, Any] | None:
    """Return the leftovers that need attention, oldest first; ``None`` where there are none."""
    now = current_runtime().now()
    cases = db.session.scalars(leftovers.oldest_first(attention_at=now).limit(SHOWN)).all()
    if not cases:
        return None
    places = select(VirtualInstance.id, VirtualInstance.name).where(
        VirtualInstance.id.in_({one.instance_id for one in cases})
    )
    names = {row.id: row.name for row in db.session.execute(places)}
    return {
        "rows": [_row(one, names.get(one.instance_id, "")) for one in cases],
        "more": leftovers.figures(now).stuck - len(cases),
    }


def _row(one: Leftover, instance_name: str) -> dict[str, Any]:
    return {
        "account_name": one.account_name,
        "instance_name": instance_name,
        "why": one.why,
        "since": one.found_at,
        "failures": one.failures,
        "error": one.last_error,
        "next_at": one.next_attempt_at,
    }
