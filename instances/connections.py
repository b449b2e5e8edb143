"""The connection of an instance to its directory elsewhere: stored settings, their secrets encrypted (S15)."""

from __future__ import annotations

import json
from typing import TypeVar

from sqlalchemy import select

from instances.connectors.base import ConnectorError
from instances.connectors.settings import ConnectorSettings, WrongSettings, checked, split
from instances.models import Connection
from tempadmin.db import db
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime, current_runtime

PURPOSE = "connection"

S = TypeVar("S", bound=ConnectorSettings)


def read(instance_id: int, kind: type[S]) -> S:
    """Return an instance's settings; read anew for each call, so that a change holds at once.

    Raises
    ------
    ConnectorError
        Permanent: when there are none, or they cannot be read.
    """
    row = db.session.execute(
        select(Connection.settings, Connection.sealed_secrets).where(Connection.instance_id == instance_id)
    ).one_or_none()
    db.session.rollback()
    if row is None:
        raise ConnectorError("this instance has no connection; run tempadmin instance connect", permanent=True)
    try:
        values = json.loads(row.settings) | _unsealed(row.sealed_secrets, instance_id, current_runtime())
        return checked(kind, values)
    except (Unsealable, ValueError, WrongSettings) as error:
        raise ConnectorError(f"this instance's connection cannot be read: {error}", permanent=True) from None


def put(row: Connection, settings: ConnectorSettings, *, runtime: Runtime) -> None:
    """Write settings into a row, secrets sealed for its instance."""
    values, secrets = split(settings)
    row.settings = json.dumps(values, sort_keys=True)
    row.sealed_secrets = runtime.keys.seal(PURPOSE, json.dumps(secrets).encode(), owner=_owner(row.instance_id))


def _unsealed(sealed: str, instance_id: int, runtime: Runtime) -> dict[str, str]:
    secrets: dict[str, str] = json.loads(runtime.keys.unseal(PURPOSE, sealed, owner=_owner(instance_id)))
    return secrets


def _owner(instance_id: int) -> str:
    return f"instance:{instance_id}"
