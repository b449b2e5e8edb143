"""How an instance is connected to its product's directory: checked, tried, and only then stored, whole.

Where a directory is cannot change while an account of ours may be in it: nobody would find that account any more. All
else, a rotated token above all, may change at any time, and is used from the next call on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blinker import Signal
from sqlalchemy import select

from instances import connections
from instances.connection_trial import settings_of, try_out
from instances.connection_values import Taken, in_words, moved, take
from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.settings import ConnectorSettings, WrongSettings, split
from instances.models import Connection, VirtualInstance
from instances.registry import add_instance
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock, retried_once, transaction
from tempadmin.errors import Conflict, NotFound
from tempadmin.runtime import Runtime, application

Tell = Callable[[str], object]
Seen = tuple[str, str | None]
"""An instance's connector, and its secrets as they are sealed: what a rival's change changes."""

MEANWHILE = "Somebody changed this connection a moment ago. Look at it, and try again."

connection_changing = Signal()
"""Sent with ``instance_id``, ``moves`` (accounts would be looked for in another place from now on) and ``at`` in the
transaction that changes a connection, while the instance's row is locked; whoever objects raises ``Conflict``."""


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A connection that was checked and is not stored yet."""

    connector: str
    taken: Taken | None
    """``None`` where the connector has no settings."""

    @property
    def settings(self) -> ConnectorSettings | None:
        return None if self.taken is None else self.taken.settings


def connect_instance(
    *,
    web_id: str,
    connector: str,
    values: Mapping[str, object],
    actor: Actor,
    runtime: Runtime,
    tell: Tell,
    try_first: bool = True,
    same_directory: bool = False,
) -> None:
    """Connect an instance, or change its connection; nothing is saved half.

    Parameters
    ----------
    connector
        The connector's name; ``local`` is our own directory again.
    values
        Its settings by name. A secret that is absent stays as it is, where the directory stays the same; an empty one
        is forgotten.
    tell
        Called with each step that went well while the directory was tried.
    try_first
        Whether to try it before it is stored.
    same_directory
        Somebody says that it is the directory of before, with all that is in it, at another address.

    Raises
    ------
    NotFound, Conflict
        When there is no such customer's instance, somebody changed its connection meanwhile, or accounts of ours may
        still be where it is connected to now.
    WrongSettings
        All that is wrong with the settings, at once.
    ConnectorError
        When the directory could not be used as it is wanted; what was tried, what came back, and by which setting.
    """
    instance_id = find_customer(web_id)
    seen, before = _seen(instance_id), stored_of(instance_id, connector)
    draft = _drafted(connector, values, before, runtime)
    if try_first:
        for step in try_out(connector, draft.settings, instance_id):
            tell(step)
    said = {"tried": try_first, "same_directory": same_directory}
    _save(instance_id, draft, seen, actor=actor, runtime=runtime, **said)


def create_connected(
    *,
    web_id: str,
    name: str,
    host: str,
    connector: str,
    values: Mapping[str, object],
    actor: Actor,
    runtime: Runtime,
    tell: Tell,
    try_first: bool = True,
) -> None:
    """Create a customer's instance and connect it, both or neither; raises as ``create_instance`` and the above."""
    draft = _drafted(connector, values, None, runtime)
    if try_first:
        for step in try_out(connector, draft.settings, 0):
            tell(step)
    with transaction():
        now = runtime.now()
        instance_id = add_instance(web_id=web_id, name=name, host=host, actor=actor, now=now, runtime=runtime)
        row = db.session.get_one(VirtualInstance, instance_id)
        _write(row, None, draft, actor=actor, runtime=runtime, tried=try_first, same_directory=False)


def find_customer(web_id: str) -> int:
    """Return the id of a customer's instance.

    Raises
    ------
    NotFound, Conflict
        When there is none, it was archived, or it is the default one, where nobody gets an account.
    """
    columns = VirtualInstance.id, VirtualInstance.is_default, VirtualInstance.archived_at
    row = db.session.execute(select(*columns).where(VirtualInstance.web_id == web_id)).one_or_none()
    db.session.rollback()
    if row is None or row.archived_at is not None:
        raise NotFound(f"There is no instance {web_id}.")
    if row.is_default:
        raise Conflict("Nobody gets an account on the default instance, so it is connected to nothing.")
    instance_id: int = row.id
    return instance_id


def stored_of(instance_id: int, connector: str) -> connections.Stored | None:
    """Return what is stored for an instance and a connector; ``None`` where that cannot be read, or is another's."""
    if _seen(instance_id)[0] != connector:
        return None
    try:
        return connections.stored(instance_id)
    except ConnectorError:
        return None


def _drafted(
    connector: str, values: Mapping[str, object], before: connections.Stored | None, runtime: Runtime
) -> _Draft:
    try:
        kind = settings_of(connector_for(connector))
    except ConnectorError as error:
        raise WrongSettings({"connector": str(error)}) from None
    if kind is not None:
        return _Draft(connector=connector, taken=take(kind, values, before=before, runtime=runtime))
    if values:
        raise WrongSettings(dict.fromkeys(values, "there is no such setting"))
    return _Draft(connector=connector, taken=None)


def _seen(instance_id: int) -> Seen:
    columns = select(VirtualInstance.connector, Connection.sealed_secrets).outerjoin(Connection)
    connector, sealed = db.session.execute(columns.where(VirtualInstance.id == instance_id)).one()
    db.session.rollback()
    return connector, sealed


@retried_once
def _save(instance_id: int, draft: _Draft, seen: Seen, *, actor: Actor, runtime: Runtime, **said: bool) -> None:
    """Store it, if nobody else did meanwhile; a request that is made now waits, and a later one sees it (S05)."""
    with transaction():
        row = lock(VirtualInstance, instance_id)
        if row is None or row.archived_at is not None:
            raise NotFound("There is no such instance any more.")
        connection = lock(Connection, instance_id)
        # Secrets that stay were read before the directory was tried: a rival's newer ones must not be lost to them.
        if (row.connector, None if connection is None else connection.sealed_secrets) != seen:
            raise Conflict(MEANWHILE)
        _write(row, connection, draft, actor=actor, runtime=runtime, **said)


def _write(
    row: VirtualInstance,
    connection: Connection | None,
    draft: _Draft,
    *,
    actor: Actor,
    runtime: Runtime,
    tried: bool,
    same_directory: bool,
) -> None:
    now, taken = runtime.now(), draft.taken
    moves = _moves(row, connection, draft)
    said_to_be_the_same = moves and same_directory and row.connector == draft.connector
    connection_changing.send(application(), instance_id=row.id, moves=moves and not said_to_be_the_same, at=now)
    row.connector = draft.connector
    if taken is None and connection is not None:
        db.session.delete(connection)
    elif taken is not None:
        connection = connection or Connection(instance_id=row.id)
        connections.put(connection, taken.settings, runtime=runtime, kept=taken.kept)
        connection.changed_at = now
        db.session.add(connection)
    secrets = () if taken is None else split(taken.settings)[1].keys() - taken.kept.keys()
    record(
        "instance.connected",
        instance_id=row.id,
        actor=actor,
        at=now,
        connector=draft.connector,
        settings=in_words(draft.settings),
        changed_secrets=", ".join(sorted(secrets)) or None,
        tried=tried,
        said_to_be_the_same=said_to_be_the_same or None,
    )


def _moves(row: VirtualInstance, connection: Connection | None, draft: _Draft) -> bool:
    """Tell whether accounts would be looked for in another place; where nobody can tell, they would."""
    if row.connector != draft.connector:
        return True
    if draft.settings is None:
        return False
    try:
        before = None if connection is None else connections.stored(row.id)
    except ConnectorError:
        return True
    return before is None or moved(draft.settings, before.values)
