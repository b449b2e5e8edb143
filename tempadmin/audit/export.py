"""The record for other programs: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempadmin.audit import queries
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tempadmin.web import streams

COLUMNS = ("instance_id", "number", "occurred_at", "event", "actor_id", "actor_name", "request_id", "details", "hash")


def as_dict(event: AuditEvent) -> dict[str, Any]:
    """Return an event's values, the moment in ISO 8601 (UTC)."""
    values = {name: getattr(event, name) for name in COLUMNS}
    return {**values, "occurred_at": event.occurred_at.isoformat()}


def newest(search: str) -> streams.Fetch:
    """Return what reads the events that contain a text, newest first, a thousand at a time."""

    def fetch(below: int | None) -> Sequence[tuple[int, dict[str, Any]]]:
        query = queries.events(search=search)
        if below is not None:
            query = query.where(AuditEvent.id < below)
        return [(event.id, as_dict(event)) for event in db.session.scalars(query.limit(streams.CHUNK))]

    return fetch
