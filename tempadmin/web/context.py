"""The virtual instance of a request, found by its host name (design §6).

The ground floor knows no table of instances: the floor that has one registers an ``InstanceSource`` here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from flask import Flask, current_app, g, request

EXTENSION = "tempadmin.instances"


@dataclass(frozen=True, kw_only=True)
class InstanceInfo:
    """What every page needs to know of a virtual instance; ``url`` has no slash at its end."""

    id: int
    web_id: str
    name: str
    url: str
    is_default: bool
    archived: bool = False
    time_zone: str | None = None
    """For people who chose none of their own."""


class InstanceSource(Protocol):
    """Where instances are looked up."""

    def by_host(self, host: str) -> InstanceInfo | None:
        """Return the instance that answers on a host name (lower case, no port)."""
        ...

    def by_id(self, instance_id: int) -> InstanceInfo | None:
        """Return an instance, archived ones too."""
        ...

    def default(self) -> InstanceInfo | None:
        """Return the operator's own instance, or ``None`` before it was made."""
        ...


def set_instance_source(app: Flask, source: InstanceSource) -> None:
    """Say where instances are looked up; called once, by the floor that keeps them."""
    app.extensions[EXTENSION] = source


def instance_source() -> InstanceSource:
    """Return where instances are looked up."""
    return cast(InstanceSource, current_app.extensions[EXTENSION])


def find_instance() -> InstanceInfo | None:
    """Return the instance that this request's host names; ``X-Forwarded-Host`` counts for nothing (S08)."""
    host, _, port = request.host.lower().rstrip(".").rpartition(":") if ":" in request.host else (request.host, "", "")
    if port and not port.isdigit():
        return None
    return instance_source().by_host(host.lower())


def current_instance() -> InstanceInfo:
    """Return the instance of this request."""
    return cast(InstanceInfo, g.instance)


def absolute_url(instance: InstanceInfo, path: str) -> str:
    """Build a link from what is stored and set, never from the ``Host`` header (S08)."""
    return instance.url + path
