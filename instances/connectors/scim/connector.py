"""The SCIM connector: accounts in a product elsewhere, which is entered by OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta

from instances import connections
from instances.connectors.base import Entry, Found
from instances.connectors.remote import Directory, RemoteConnector
from instances.connectors.scim.directory import ScimDirectory
from instances.connectors.scim.protocol import Scim
from instances.connectors.scim.settings import ScimSettings

READING = timedelta(seconds=30)
"""How long it may take to list all users; nobody waits for that."""


class ScimConnector(RemoteConnector):
    """Makes and removes accounts through a SCIM 2.0 server."""

    entry: Entry | None = None
    settings = ScimSettings

    def reach(self, instance_id: int) -> AbstractContextManager[Directory]:
        """Reach the server of an instance by its stored settings."""
        return self.open(connections.read(instance_id, ScimSettings), instance_id)

    @contextmanager
    def open(
        self, settings: ScimSettings, instance_id: int, *, timeout: timedelta | None = None
    ) -> Iterator[Directory]:
        """Reach a server by settings that need not be stored; the time-out is for all that is done meanwhile."""
        with closing(Scim(settings, timeout=timeout or self.timeout)) as scim:
            yield ScimDirectory(settings, instance_id, scim)

    def listed(self, instance_id: int) -> Iterator[Found]:
        """As ``Connector.listed``; page by page, which may take a while."""
        settings = connections.read(instance_id, ScimSettings)
        with self.open(settings, instance_id, timeout=READING) as directory:
            yield from directory.listed()
