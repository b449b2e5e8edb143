"""A throw-away PostgreSQL cluster, started from the installed programs as a user that is not root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) if Path("/usr/lib/postgresql").exists() else []
START_SECONDS = 30


class Cluster:
    """A running server on a free loopback port; databases are copied from templates."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user

    def url(self, database: str) -> str:
        """The address that SQLAlchemy takes."""
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """Copy a database; return the copy's name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected."""
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def run(self, statement: str) -> None:
        """Run one statement as the superuser."""
        with self.connect("postgres") as one:
            one.execute(statement)

    def connect(self, database: str) -> psycopg.Connection:
        """One more connection, as the superuser; each of its statements is a transaction."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user=self.user, dbname=database, autocommit=True)


def available() -> bool:
    """Whether the server's programs are installed."""
    return bool(PROGRAMS)


@contextmanager
def cluster(*, fsync: str = "off") -> Iterator[Cluster]:
    """Start a cluster; end it by its own process id. Nothing in it must outlive a test: only a bench wants fsync."""
    programs = PROGRAMS[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="tempadmin-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*as_user, *initdb, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder)
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "fsync": fsync,
        "autovacuum": fsync,  # no test lives long enough to need it
        "max_connections": "300",
        "shared_buffers": "64MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, str(programs / "postgres"), "-D", str(data), *options], stdout=log, stderr=log, cwd=folder
        )
    try:
        found = Cluster(port, "tester")
        _wait(found, server)
        yield found
    finally:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.send_signal(3)  # SIGQUIT: immediate shutdown
            server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(found: Cluster, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            found.run("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
        else:
            return


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
