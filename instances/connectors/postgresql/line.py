"""A connection to a PostgreSQL server on which nothing lasts longer than the call that it serves.

The server is told to give up by itself, and is not waited for when it does not: it may be stopped, or be another than
it says.
"""

from __future__ import annotations

import os
import re
import select
import ssl
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql import errors
from instances.connectors.postgresql.settings import DISABLE, PostgresqlSettings

CONNECT_SECONDS = 3
STATEMENT_MS, LOCK_MS, IDLE_MS = 4_000, 1_500, 10_000
OPTIONS = {
    "statement_timeout": STATEMENT_MS,
    "lock_timeout": LOCK_MS,
    "idle_in_transaction_session_timeout": IDLE_MS,
    "default_transaction_read_only": "off",
    "client_min_messages": "error",
    "search_path": "",
}

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where Debian, Red Hat and Alpine keep them, and what is like them."""

SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")
"""Names that need no quotes, but for key words."""

Statement = LiteralString | sql.SQL | sql.Composed
Rows = list[tuple[Any, ...]]


class Gone(Exception):
    """There is no such role any more: ``same`` found none."""


class Line(psycopg.Connection[tuple[Any, ...]]):
    """A connection; each of its statements is a transaction unless one was begun."""

    to: PostgresqlSettings
    until: float = 0.0
    """Past this moment (of the monotonic clock) no answer is waited for."""
    since: float = 0.0
    """When it was opened."""

    @classmethod
    def open(cls, settings: PostgresqlSettings, *, until: float, database: str | None = None) -> Self:
        """Connect, to another database of the server where one is named.

        Raises
        ------
        ConnectorError
            When that did not come about, whatever the reason.
        """
        wanted = database or settings.database
        if monotonic() >= until:
            raise ConnectorError(f"no connection to {settings.address}, database {wanted}: no time was left for it")
        try:
            with _trusted(settings) as root:
                line = cls.connect(**_parameters(settings, wanted), sslrootcert=root, autocommit=True)
        except psycopg.Error as error:
            raise errors.of_connecting(error, settings, database=wanted) from None
        line.to, line.until, line.since = settings, until, monotonic()
        return line

    def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's own, until the deadline of the call."""
        left = max(0.0, self.until - monotonic()) if self.until else timeout
        return super().wait(gen, interval, left)

    def ask(
        self, statement: Statement, parameters: Sequence[object] = (), *, what: str, grant: str | None = None
    ) -> Rows:
        """Send one statement; return its rows.

        Raises
        ------
        ConnectorError
            When it failed, or was not answered in time.
        """
        with self._told(what, grant):
            cursor = self.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def send(self, *statements: sql.Composable, what: str, grant: str | None = None) -> list[Rows]:
        """Send statements in one message: each way there and back takes longer than the work. Return the rows of each.

        They are one transaction, unless some of them say otherwise; raises as ``ask``.
        """
        with self._told(what, grant):
            try:
                cursor = self.execute(sql.SQL("; ").join(statements), prepare=False)
                rows = [cursor.fetchall() if cursor.description else []]
                while cursor.nextset():
                    rows.append(cursor.fetchall() if cursor.description else [])
            except psycopg.Error:
                if self.pgconn.transaction_status == TransactionStatus.INERROR:
                    self.rollback()
                raise
        return rows

    @contextmanager
    def _told(self, what: str, grant: str | None) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.DivisionByZero:
            raise Gone from None
        except psycopg.Error as error:
            if error.sqlstate is None and monotonic() >= self.until:
                raise ConnectorError(f"{what}: no answer in time") from None
            raise errors.of_asking(error, self.to, what=what, grant=grant) from None

    @property
    def is_sound(self) -> bool:
        """Whether it can be used for another call: idle, and not closed from the other side."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)  # whatever came unasked is a farewell


def literal(value: object) -> sql.Literal:
    """Return a value to be written into a statement that takes no parameters."""
    return sql.Literal(value)


def named(*names: str) -> sql.Composed:
    """Return quoted names, separated by commas."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def written(name: str) -> str:
    """Return a name as a person has to write it in a statement."""
    return name if SIMPLE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def same(oid: int, name: str) -> sql.Composable:
    """Return a statement that fails unless a role of this id has this name; whoever sent it gets ``Gone``."""
    role = "SELECT 1 / count(*) FROM pg_catalog.pg_roles WHERE oid = {} AND rolname = {}"
    return sql.SQL(role).format(literal(oid), literal(name))


@contextmanager
def _trusted(settings: PostgresqlSettings) -> Iterator[str]:
    """Yield where libpq finds the certificates to trust: it reads them from files only."""
    if settings.ca_file is None:
        yield _of_the_system() if settings.sslmode != DISABLE else os.devnull
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(settings.ca_file)
        file.flush()
        yield file.name


def _of_the_system() -> str:
    """Return where the system's authorities are: libpq's own ``system`` is none where its OpenSSL came in a wheel."""
    places = (ssl.get_default_verify_paths().cafile, *BUNDLES)
    return next((place for place in places if place and Path(place).is_file()), "system")


def _parameters(settings: PostgresqlSettings, database: str) -> dict[str, Any]:
    """Return every parameter that the environment or a file of this machine's user would else decide."""
    options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
    return {
        "host": settings.host,
        "hostaddr": "",
        "port": settings.port,
        "dbname": database,
        "user": settings.user,
        "password": settings.password.get_secret_value() if settings.password else None,
        "passfile": os.devnull,
        "sslmode": settings.sslmode,
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": CONNECT_SECONDS * 1000,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "tempadmin",
        "target_session_attrs": "any",
        "options": options,
    }


def refuse_long(name: str) -> None:
    """Refuse a name that the server would cut: it would make an account of another name."""
    if len(name.encode()) > 63 or "\0" in name:
        raise ConnectorError(f"the name {name!r} is too long for PostgreSQL, which takes 63 bytes", permanent=True)
