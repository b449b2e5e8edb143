"""The connection of an instance to its directory elsewhere: stored settings, their secrets encrypted (S15)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select

from instances.connectors.base import ConnectorError
from instances.connectors.settings import ConnectorSettings, WrongSettings, checked, masked, split
from instances.models import Connection
from tempadmin.db import db, in_transaction
from tempadmin.keys import Unsealable
from tempadmin.runtime import Runtime, current_runtime

PURPOSE, SET_AT = "connection", "secrets_set_at"
UNREADABLE = "this instance's connection cannot be read"

S = TypeVar("S", bound=ConnectorSettings)


def read(instance_id: int, kind: type[S]) -> S:
    """Return an instance's settings; read anew for each call, so that a change holds at once.

    Raises
    ------
    ConnectorError
        Permanent: when there are none, or they cannot be read.
    """
    row = stored(instance_id)
    if row is None:
        raise ConnectorError("this instance has no connection; run tempadmin instance connect", permanent=True)
    try:
        return checked(kind, {**row.values, **row.secrets(current_runtime())})
    except WrongSettings as error:
        raise ConnectorError(f"{UNREADABLE}: {error}", permanent=True) from None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A connection as it is kept."""

    instance_id: int
    values: Mapping[str, Any]
    """All settings but the secrets."""
    set_at: Mapping[str, datetime]
    """Which secrets there are, and since when."""
    changed_at: datetime
    sealed: str

    def secrets(self, runtime: Runtime) -> dict[str, str]:
        """Open the secrets.

        Raises
        ------
        ConnectorError
            Permanent: when no configured key opens them.
        """
        try:
            opened = runtime.keys.unseal(PURPOSE, self.sealed, owner=_owner(self.instance_id))
            secrets: dict[str, str] = json.loads(opened)
        except (Unsealable, ValueError) as error:
            raise ConnectorError(f"{UNREADABLE}: {error}", permanent=True) from None
        return secrets


def stored(instance_id: int) -> Stored | None:
    """Return an instance's connection, or ``None``; outside ``transaction()`` nothing stays held.

    Raises
    ------
    ConnectorError
        Permanent: when it cannot be read.
    """
    columns = Connection.settings, Connection.sealed_secrets, Connection.changed_at
    row = db.session.execute(select(*columns).where(Connection.instance_id == instance_id)).one_or_none()
    if not in_transaction():
        db.session.rollback()
    if row is None:
        return None
    try:
        values = json.loads(row.settings)
        since = {name: datetime.fromisoformat(moment) for name, moment in values.pop(SET_AT, {}).items()}
    except (ValueError, AttributeError, TypeError):
        raise ConnectorError(f"{UNREADABLE}: its settings are not what was stored", permanent=True) from None
    return Stored(
        instance_id=instance_id,
        values=values,
        set_at=since,
        changed_at=row.changed_at,
        sealed=row.sealed_secrets,
    )


def without_secrets(error: ConnectorError, instance_id: int) -> ConnectorError:
    """Return an error that does not repeat what its directory may have repeated: a stored secret (P12)."""
    try:
        row = stored(instance_id)
        secrets = () if row is None else tuple(row.secrets(current_runtime()).values())
    except ConnectorError:  # then it was not sent either
        secrets = ()
    return ConnectorError(masked(str(error), secrets), permanent=error.permanent, setting=error.setting)


def put(
    row: Connection,
    settings: ConnectorSettings,
    *,
    runtime: Runtime,
    kept: Mapping[str, datetime] | None = None,
) -> None:
    """Write settings into a row, secrets sealed for its instance.

    Parameters
    ----------
    kept
        Since when each secret that does not change is there.
    """
    values, secrets = split(settings)
    since = {name: (kept or {}).get(name) or runtime.now() for name in secrets}
    values[SET_AT] = {name: moment.isoformat() for name, moment in since.items()}
    row.settings = json.dumps(values, sort_keys=True)
    row.sealed_secrets = runtime.keys.seal(PURPOSE, json.dumps(secrets).encode(), owner=_owner(row.instance_id))


def _owner(instance_id: int) -> str:
    return f"instance:{instance_id}"
