"""Trying a connection: whether the directory is there and lets us do what we need, and changing nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from sqlalchemy import select

from instances import connections
from instances.connectors.base import Connector, ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.remote import RemoteConnector
from instances.connectors.settings import ConnectorSettings, masked, split
from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.failpoints import reach

log = structlog.get_logger()


def check_connection(*, instance_id: int) -> Iterator[str]:
    """Try an instance's stored connection, changing nothing there; yield each step that went well.

    Raises
    ------
    ConnectorError
        At the first that did not.
    """
    name = db.session.scalar(select(VirtualInstance.connector).where(VirtualInstance.id == instance_id)) or ""
    db.session.rollback()
    chosen = connector_for(name)
    kind = settings_of(chosen)
    yield from try_out(name, None if kind is None else connections.read(instance_id, kind), instance_id)


def try_out(connector: str, settings: ConnectorSettings | None, instance_id: int) -> Iterator[str]:
    """Look at a directory by settings that need not be stored; raises as above, and no secret (P12)."""
    chosen = connector_for(connector)
    if not isinstance(chosen, RemoteConnector):
        yield "The accounts are kept here; there is nothing to reach."
        return
    secrets = () if settings is None else tuple(split(settings)[1].values())
    try:
        reach("before open")
        with chosen.open(settings, instance_id) as directory:
            for step in directory.probe():
                yield masked(step, secrets)
        reach("after open")
    except ConnectorError as error:
        raise ConnectorError(masked(str(error), secrets), permanent=error.permanent, setting=error.setting) from None
    except Exception as error:  # noqa: BLE001 - whatever a library raises; what it says may hold a secret
        log.warning("connection.not_tried", connector=connector, error=type(error).__name__)
        raise ConnectorError(f"the connector {connector} failed: {type(error).__name__}") from None


def settings_of(connector: Connector) -> type[ConnectorSettings] | None:
    """Return the class of a connector's settings; ``None`` where it has none."""
    return connector.settings if isinstance(connector, RemoteConnector) else None
