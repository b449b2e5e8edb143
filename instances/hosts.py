"""Host names and instances: which instance answers where (design §6, S08)."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import Select, Table, bindparam, select

from instances.models import VirtualInstance
from tempadmin.db import run
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings
from tempadmin.web.context import InstanceInfo, set_instance_source

LOOPBACK = "127.0.0.1"

# Built once, and columns in place of mapped rows: every request asks which instance its host is.
_INSTANCES = cast(Table, VirtualInstance.__table__)
_FACTS = select(
    *(
        _INSTANCES.c[name]
        for name in ("id", "web_id", "name", "virtual_hostname", "is_default", "archived_at", "time_zone")
    )
)
BY_HOST = _FACTS.where(_INSTANCES.c.virtual_hostname == bindparam("host"))
BY_ID = _FACTS.where(_INSTANCES.c.id == bindparam("instance"))
# Not by ``is_default``: SQLite would scan the table, for it takes no partial index for ``is_default = 1``.
DEFAULT = _FACTS.where(_INSTANCES.c.virtual_hostname.is_(None))


def init_app(app: Flask) -> None:
    """Let the ground floor find instances."""
    set_instance_source(app, Hosts())


def instance_url(row: VirtualInstance, settings: Settings) -> str:
    """Return where an instance answers: scheme and port of ``base_url``, its own host name; no slash at the end."""
    return _url(row.virtual_hostname, settings)


def _url(host: str | None, settings: Settings) -> str:
    if host is None:
        return settings.base_url
    base = urlsplit(settings.base_url)
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{host}{port}"


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
        found = _one(BY_HOST, {"host": host})
        return None if found is None or found.archived else found

    def by_id(self, instance_id: int) -> InstanceInfo | None:
        """Return an instance, archived ones too."""
        return _one(BY_ID, {"instance": instance_id})

    def default(self) -> InstanceInfo | None:
        """Return the operator's own instance."""
        return _one(DEFAULT, {})


def _one(query: Select[Any], values: dict[str, Any]) -> InstanceInfo | None:
    row = run(query, values).one_or_none()
    if row is None:
        return None
    return InstanceInfo(
        id=row.id,
        web_id=row.web_id,
        name=row.name,
        url=_url(row.virtual_hostname, current_runtime().settings),
        is_default=row.is_default,
        archived=row.archived_at is not None,
        time_zone=row.time_zone,
    )
