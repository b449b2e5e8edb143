"""Where people are: virtual instances, their users, and the connectors that make and remove accounts."""

from __future__ import annotations

from flask import Flask

from instances import actions, connection_web, doctor_connections, hosts, notices, panel, web
from instances.connectors.registry import init_app as init_connectors


def init_app(app: Flask) -> None:
    """Let the ground floor find instances by host, and add the pages."""
    hosts.init_app(app)
    init_connectors(app)
    actions.init_app(app)
    notices.init_app(app)
    web.init_app(app)
    panel.init_app(app)
    connection_web.init_app(app)
    doctor_connections.init_app(app)
