"""Temporary administrators as roles of a PostgreSQL server, entered by a password that is shown once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shlex import quote
from time import monotonic
from weakref import finalize

from psycopg.conninfo import make_conninfo

from instances import connections
from instances.connectors import patience
from instances.connectors.base import Account, Entry
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

    def sign_in_hint(self, account: Account) -> Mapping[str, str]:
        """As ``Connector.sign_in_hint``: where the server is, and a line for a terminal; it asks for the password."""
        settings = connections.read(account.instance_id, PostgresqlSettings)
        place = {"host": settings.host, "port": str(settings.port), "dbname": settings.database}
        line = make_conninfo("", **place, user=account.name, sslmode=settings.sslmode)
        server = settings.host if settings.host.startswith("/") else f"{settings.host}:{settings.port}"
        return {"Server": server, "Database": settings.database, "Terminal": f"psql {quote(line)}"}

    def _deadline(self) -> float:
        return monotonic() + patience.within(self.timeout).total_seconds()
