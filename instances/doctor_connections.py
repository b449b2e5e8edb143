"""A check of what is stored of directories elsewhere: whether the connector is installed, and its settings readable."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import select

from instances import connections
from instances.connection_trial import settings_of
from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, checks, error, ok
from tempadmin.runtime import Runtime


def init_app(app: Flask) -> None:
    """Register the check."""
    checks(app).append(Check(name="connections", look=look))


def look(runtime: Runtime) -> Iterator[Finding]:
    """Yield each instance whose connection cannot be used, or that there is none; no directory is asked (S15, S36)."""
    used = select(VirtualInstance.id, VirtualInstance.web_id, VirtualInstance.connector)
    used = used.where(VirtualInstance.archived_at.is_(None), VirtualInstance.connector != "local")
    elsewhere = bad = 0
    for instance_id, web_id, name in db.session.execute(used.order_by(VirtualInstance.id)).all():
        try:
            connector = connector_for(name)
            elsewhere += connector.elsewhere
            kind = settings_of(connector)
            if kind is not None:
                connections.read(instance_id, kind)
        except ConnectorError as reason:
            bad += 1
            advice = f"install what is missing, or: tempadmin instance connect {web_id} --connector {name} --settings …"
            yield error(f"{web_id} cannot reach its accounts: {reason}", advice)
    if not elsewhere and not bad:
        yield ok("no instance is connected to a directory elsewhere")
    elif not bad:
        yield ok(f"{elsewhere} instances are connected to directories elsewhere, and their settings can be read")
