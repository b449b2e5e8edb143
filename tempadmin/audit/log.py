"""Writing the record: use cases collect events with ``record()``; ``transaction()`` writes them as its last statements.

Collected first and written last, each chain's head is locked for an instant only, always after every other lock
(design §2), and no event is written for a transaction that fails. No audit, no transition (P13).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from flask import Flask
from sqlalchemy import insert
from sqlalchemy.orm import Session

from tempadmin.audit.chain import GENESIS, seal
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import after_commit, db, lock_or_make_all
from tempadmin.runtime import application, current_runtime

COLLECTED, NEWEST = "audit_events", "tempadmin.newest_event"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The real person behind a change, as the record names them; ``id`` is ``None`` for the service itself."""

    id: int | None
    name: str
    via: str | None = None
    """How, where it was on no page, e.g. ``command line``; the record says so."""


SERVICE = Actor(id=None, name="tempadmin")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    instance_id: int
    event: str
    actor: Actor
    at: datetime
    request_id: int | None
    details: dict[str, Any] = field(default_factory=dict)


def record(
    event: str,
    *,
    instance_id: int,
    actor: Actor,
    at: datetime,
    request_id: int | None = None,
    **details: str | int | bool | None,
) -> None:
    """Collect an audit event for the transaction that is open; never commits.

    Parameters
    ----------
    event
        What happened, e.g. ``access.requested``.
    instance_id
        The virtual instance in whose chain it belongs.
    actor
        The real person, never the account that they act through (S53).
    at
        When, read from the clock after the lock was held.
    request_id
        The access request that it belongs to.
    details
        Plain values; never a secret.

    Raises
    ------
    RuntimeError
        Outside ``transaction()``: the event would be lost.
    """
    info = db.session().info
    if not info.get("in_transaction"):
        raise RuntimeError("an audit event needs an open transaction")
    if actor.via is not None:
        details["via"] = actor.via
    info.setdefault(COLLECTED, []).append(
        _Entry(instance_id=instance_id, event=event, actor=actor, at=at, request_id=request_id, details=details)
    )


def write_collected(session: Session) -> None:
    """Write the collected events: heads locked by ascending instance id, numbers without a gap (S50)."""
    entries: list[_Entry] = session.info.pop(COLLECTED, [])
    session.flush()
    if not entries:
        return
    keys = current_runtime().keys
    rows: list[dict[str, Any]] = []
    # In one statement: an import begins a thousand chains in one transaction.
    chains = sorted({entry.instance_id for entry in entries})
    heads = lock_or_make_all(AuditHead, chains, number=0, hash=GENESIS)
    for instance_id, group in groupby(sorted(entries, key=lambda one: one.instance_id), lambda one: one.instance_id):
        head = heads[instance_id]
        for entry in group:
            values = {
                "instance_id": instance_id,
                "number": head.number + 1,
                "occurred_at": entry.at,
                "event": entry.event,
                "actor_id": entry.actor.id,
                "actor_name": entry.actor.name,
                "request_id": entry.request_id,
                "details": json.dumps(entry.details, sort_keys=True, ensure_ascii=False),
                "previous_hash": head.hash,
            }
            rows.append({**values, "hash": seal(AuditEvent(**values), keys)})
            head.number, head.hash = head.number + 1, rows[-1]["hash"]
    inserted = session.execute(insert(AuditEvent).returning(AuditEvent.id, AuditEvent.hash), rows)
    app, newest = application(), max((event_id, digest) for event_id, digest in inserted)
    session.flush()
    after_commit(lambda: app.extensions.__setitem__(NEWEST, newest))


def newest_written(app: Flask) -> tuple[int, str] | None:
    """Return id and hash of the last event that this process committed, if any: a database without it lost it."""
    return cast("tuple[int, str] | None", app.extensions.get(NEWEST))
