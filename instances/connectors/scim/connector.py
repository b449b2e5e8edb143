"""The SCIM connector: accounts in a product elsewhere, which is entered by OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from instances import connections
from instances.connectors.base import Entry
from instances.connectors.remote import Directory, RemoteConnector
from instances.connectors.scim.directory import ScimDirectory
from instances.connectors.scim.protocol import Scim
from instances.connectors.scim.settings import ScimSettings


class ScimConnector(RemoteConnector):
    """Makes and removes accounts through a SCIM 2.0 server."""

    entry: Entry | None = None
    settings = ScimSettings

    def reach(self, instance_id: int) -> AbstractContextManager[Directory]:
        """Reach the server of an instance by its stored settings."""
        return self.open(connections.read(instance_id, ScimSettings), instance_id)

    @contextmanager
    def open(self, settings: ScimSettings, instance_id: int) -> Iterator[Directory]:
        """Reach a server by settings that need not be stored."""
        with closing(Scim(settings, timeout=self.timeout)) as scim:
            yield ScimDirectory(settings, instance_id, scim)
