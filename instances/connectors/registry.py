"""Which connector an instance uses, by name; a test can put one of its own in."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from instances.connectors.base import Connector, ConnectorError
from instances.connectors.drill import DRILL, DrillConnector
from instances.connectors.local import LocalConnector

EXTENSION = "tempadmin.connectors"


def init_app(app: Flask) -> None:
    """Start with the embedded one, and the one for drills."""
    app.extensions[EXTENSION] = {"local": LocalConnector(), DRILL: DrillConnector()}


def connectors(app: Flask) -> dict[str, Connector]:
    """Return the connectors by name."""
    return cast("dict[str, Connector]", app.extensions[EXTENSION])


def connector_for(name: str) -> Connector:
    """Return a connector.

    Raises
    ------
    ConnectorError
        When there is none of this name: permanent, until it is installed.
    """
    found = connectors(current_app).get(name)
    if found is None:
        raise ConnectorError(f"there is no connector {name!r}", permanent=True)
    return found
