"""Temporary administrators as roles of a PostgreSQL server, entered by a password that is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import finalize

from instances import connections
from instances.connectors.base import Entry
from instances.connectors.postgresql.kept import Kept
from instances.connectors.postgresql.line import Line
from instances.connectors.postgresql.roles import Dropped, Roles
from instances.connectors.postgresql.settings import PostgresqlSettings
from instances.connectors.remote import Directory, RemoteConnector


class PostgresqlConnector(RemoteConnector):
    """Makes and removes roles; a few connections are kept open between two calls."""

    entry: Entry | None = Entry.CREDENTIAL
    settings = PostgresqlSettings

    def __init__(self) -> None:
        super().__init__()
        self._kept = Kept()
        finalize(self, self._kept.close)

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Directory]:
        """Reach the server of an instance by its stored settings, over a connection that is open already if it can."""
        settings = connections.read(instance_id, PostgresqlSettings)
        with self._kept.line(instance_id, settings, until=self._deadline()) as (line, dropped):
            yield Roles(line, instance_id, dropped)

    @contextmanager
    def open(self, settings: PostgresqlSettings, instance_id: int) -> Iterator[Directory]:
        """Reach a server by settings that need not be stored; the connection is closed afterwards."""
        line = Line.open(settings, until=self._deadline())
        try:
            yield Roles(line, instance_id, Dropped())
        finally:
            line.close()

    def _deadline(self) -> float:
        return monotonic() + self.timeout.total_seconds()
