"""Which connector an instance uses, by name; a test can put one of its own in."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from flask import Flask, current_app

from instances.connectors.base import Connector, ConnectorError
from instances.connectors.drill import DRILL, DrillConnector
from instances.connectors.local import LocalConnector

EXTENSION = "tempadmin.connectors"
EXTRAS: dict[str, str] = {
    "ldap": "instances.connectors.ldap_directory.connector:LdapConnector",
    "postgresql": "instances.connectors.postgresql.connector:PostgresqlConnector",
    "scim": "instances.connectors.scim.connector:ScimConnector",
}
"""Connectors that an installation may lack the library of, by name: where their class is; imported at first use."""


def init_app(app: Flask) -> None:
    """Start with the embedded one, and the one for drills."""
    app.extensions[EXTENSION] = {"local": LocalConnector(), DRILL: DrillConnector()}


def connectors(app: Flask) -> dict[str, Connector]:
    """Return the connectors by name."""
    return cast("dict[str, Connector]", app.extensions[EXTENSION])


def kinds() -> list[str]:
    """Return the names of what an instance can be connected by: the embedded one first, the one for drills not."""
    return ["local", *sorted((connectors(current_app).keys() | EXTRAS.keys()) - {"local", DRILL})]


def connector_for(name: str) -> Connector:
    """Return a connector.

    Raises
    ------
    ConnectorError
        When there is none of this name: permanent, until it is installed.
    """
    known = connectors(current_app)
    if name not in known and name in EXTRAS:
        known[name] = _loaded(name)
    if name not in known:
        raise ConnectorError(f"there is no connector {name!r}", permanent=True)
    return known[name]


def _loaded(name: str) -> Connector:
    module, _, kind = EXTRAS[name].partition(":")
    try:
        return cast("Connector", getattr(import_module(module), kind)())
    except ImportError as error:
        missing = f"the connector {name!r} needs {error.name}: pip install 'tempadmin[{name}]'"
        raise ConnectorError(missing, permanent=True) from None
