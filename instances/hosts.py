"""Host names and instances: which instance answers where (design §6, S08)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings
from tempadmin.web.context import InstanceInfo, set_instance_source

LOOPBACK = "127.0.0.1"


def init_app(app: Flask) -> None:
    """Let the ground floor find instances."""
    set_instance_source(app, Hosts())


def instance_url(row: VirtualInstance, settings: Settings) -> str:
    """Return where an instance answers: scheme and port of ``base_url``, its own host name; no slash at the end."""
    base = urlsplit(settings.base_url)
    if row.virtual_hostname is None:
        return settings.base_url
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{row.virtual_hostname}{port}"


def base_host(settings: Settings) -> str:
    """Return the console's host name."""
    return urlsplit(settings.base_url).hostname or ""


class Hosts:
    """Looks instances up in the database; one indexed query each."""

    def by_host(self, host: str) -> InstanceInfo | None:
        """Return the instance that answers on a host name; archived and unknown ones do not answer."""
        base = base_host(current_runtime().settings)
        if host == base or (host == LOOPBACK and base == "localhost"):
            return self.default()
        query = select(VirtualInstance).where(VirtualInstance.virtual_hostname == host)
        row = db.session.scalars(query).one_or_none()
        return None if row is None or row.archived_at is not None else _info(row)

    def by_id(self, instance_id: int) -> InstanceInfo | None:
        """Return an instance, archived ones too."""
        row = db.session.get(VirtualInstance, instance_id)
        return None if row is None else _info(row)

    def default(self) -> InstanceInfo | None:
        """Return the operator's own instance."""
        # Not by ``is_default``: SQLite would scan the table, for it takes no partial index for ``is_default = 1``.
        query = select(VirtualInstance).where(VirtualInstance.virtual_hostname.is_(None))
        row = db.session.scalars(query).one_or_none()
        return None if row is None else _info(row)


def _info(row: VirtualInstance) -> InstanceInfo:
    return InstanceInfo(
        id=row.id,
        web_id=row.web_id,
        name=row.name,
        url=instance_url(row, current_runtime().settings),
        is_default=row.is_default,
        archived=row.archived_at is not None,
        time_zone=row.time_zone,
    )
