"""Writing the record: use cases collect events with ``record()``; ``transaction()`` writes them as its last statements.

Collected first and written last, each chain's head is locked for an instant only, always after every other lock
(design §2), and no event is written for a transaction that fails. No audit, no transition (P13).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, cast

from flask import Flask
from sqlalchemy import Connection, Executable, Table, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from tempadmin.audit.chain import GENESIS, seal
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import after_commit, db
from tempadmin.engine import insert_for
from tempadmin.runtime import application, current_runtime

COLLECTED, NEWEST = "audit_events", "tempadmin.newest_event"

_EVENTS, _HEADS = (cast(Table, model.__table__) for model in (AuditEvent, AuditHead))


def _locking(dialect: str, chains: Sequence[Any]) -> Executable:
    """Build the statement that makes the missing heads of chains, and locks and returns all: no rival comes between."""
    rows = [{"instance_id": chain, "number": 0, "hash": GENESIS} for chain in chains]
    # A list of rows is compiled anew each time it is sent, also a list of one.
    new = insert_for(dialect)(_HEADS).values(rows[0] if len(rows) == 1 else rows)
    # An UPDATE of the key to itself changes nothing, and locks.
    locked = new.on_conflict_do_update(index_elements=["instance_id"], set_={"instance_id": new.excluded.instance_id})
    return cast(Executable, locked.returning(*_HEADS.columns))


# Built once: nearly every change writes into one chain, and building a statement costs more than sending it.
LOCK_HEAD = cache(lambda dialect: _locking(dialect, [bindparam("chain")]))
MOVE_HEAD = (
    update(_HEADS)
    .where(_HEADS.c.instance_id == bindparam("chain"))
    .values(number=bindparam("last_number"), hash=bindparam("last_hash"))
)
ADD_EVENTS = insert(_EVENTS).returning(_EVENTS.c.id, _EVENTS.c.hash)
ADD_MANY, FEW = insert(_EVENTS).inline(), 10
_CHAINS = _HEADS.c.instance_id.in_(bindparam("chains", expanding=True))
PRESENT = select(func.count()).select_from(_HEADS).where(_CHAINS)
LOCK_PRESENT = select(*_HEADS.columns).where(_CHAINS).order_by(_HEADS.c.instance_id).with_for_update()

_in_words = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The real person behind a change, as the record names them; ``id`` is ``None`` for the service itself."""

    id: int | None
    name: str
    via: str | None = None
    """How, where it was on no page, e.g. ``command line``; the record says so."""


SERVICE = Actor(id=None, name="tempadmin")


@dataclass(kw_only=True)
class _Entry:
    instance_id: int
    event: str
    actor: Actor
    at: datetime
    request_id: int | None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class NewLink:
    """An event on its way into the table, as the chain covers it."""

    instance_id: int
    number: int
    occurred_at: datetime
    event: str
    actor_id: int | None
    actor_name: str
    request_id: int | None
    details: str
    previous_hash: str
    hash: str = ""


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
    keys, connection = current_runtime().keys, session.connection()
    chains = sorted({entry.instance_id for entry in entries})
    heads = _locked_heads(connection, chains)
    rows: list[dict[str, Any]] = []
    for entry in sorted(entries, key=lambda one: one.instance_id):
        number, hash_before = heads[entry.instance_id]
        link = NewLink(
            instance_id=entry.instance_id,
            number=number + 1,
            occurred_at=entry.at,
            event=entry.event,
            actor_id=entry.actor.id,
            actor_name=entry.actor.name,
            request_id=entry.request_id,
            details=_in_words(entry.details),
            previous_hash=hash_before,
        )
        link.hash = seal(link, keys)
        heads[entry.instance_id] = link.number, link.hash
        rows.append(vars(link))
    app, newest = application(), _added(connection, rows)
    moved = [{"chain": chain, "last_number": heads[chain][0], "last_hash": heads[chain][1]} for chain in chains]
    connection.execute(MOVE_HEAD, moved)
    after_commit(lambda: app.extensions.__setitem__(NEWEST, newest))


def _added(connection: Connection, rows: Sequence[dict[str, Any]]) -> tuple[int, str]:
    """Add events; return id and hash of the last one."""
    if len(rows) > FEW:  # with RETURNING, a statement as long as they are would be made of them
        connection.execute(ADD_MANY, rows[:-1])
        rows = rows[-1:]
    return max((event_id, digest) for event_id, digest in connection.execute(ADD_EVENTS, rows))


def _locked_heads(connection: Connection, chains: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Lock the heads of chains by ascending instance id; return number and hash of each one's last event."""
    dialect = connection.dialect.name
    if len(chains) == 1:
        found = connection.execute(LOCK_HEAD(dialect), {"chain": chains[0]})
    elif connection.scalar(PRESENT, {"chains": chains}) == len(chains):  # a head that is there never goes
        found = connection.execute(LOCK_PRESENT, {"chains": chains})
    else:  # in one statement: an import begins a thousand chains in one transaction
        found = connection.execute(_locking(dialect, chains))
    return {head.instance_id: (head.number, head.hash) for head in found}


def newest_written(app: Flask) -> tuple[int, str] | None:
    """Return id and hash of the last event that this process committed, if any: a database without it lost it."""
    return cast("tuple[int, str] | None", app.extensions.get(NEWEST))
