"""A throw-away PostgreSQL cluster, started from the installed programs as a user that is not root."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) if Path("/usr/lib/postgresql").exists() else []
START_SECONDS = 30

until_the_end = ExitStack()
"""What is started once in a test process, at its first use; closed when its last test has run."""


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


class RunningCluster(Cluster):
    """A server of ours, which can be made to crash."""

    def __init__(self, port: int, user: str, command: list[str], folder: Path) -> None:
        super().__init__(port, user)
        self._command, self._folder = command, folder
        self._server = self._start()

    @property
    def folder(self) -> Path:
        """Where its log lies, and its Unix socket."""
        return self._folder

    def restart_immediately(self) -> None:
        """Have it crash, as ``pg_ctl restart -m immediate`` does, and recover; what it acknowledged is still there."""
        self.halt(signal.SIGQUIT)
        self.start()

    def halt(self, how: signal.Signals) -> None:
        """End it as ``pg_ctl stop`` does: SIGINT is its ``-m fast``, SIGQUIT its ``-m immediate``."""
        self._end(how)

    def start(self) -> None:
        """Start it again, at the same address."""
        self._server = self._start()

    def stop(self) -> None:
        """End it; immediately when it takes long."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGQUIT)

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            server = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > deadline:
                    server.kill()
                    raise
                threading.Event().wait(0.02)  # between two tries
            else:
                return server

    def _end(self, how: signal.Signals) -> None:
        self._server.send_signal(how)
        self._server.wait(timeout=5 if how == signal.SIGTERM else 20)


def available() -> bool:
    """Whether the server's programs are installed."""
    return bool(PROGRAMS)


@contextmanager
def cluster(*, fsync: str = "off", hba: str | None = None, **changes: str) -> Iterator[RunningCluster]:
    """Start a cluster; end it by its own process id. Nothing in it must outlive a test: only a bench wants fsync.

    Everybody is trusted, unless ``hba`` says otherwise; more of the server's settings may be given by their names.
    """
    programs = PROGRAMS[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="tempadmin-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*as_user, *initdb, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder)
    if hba is not None:
        (data / "pg_hba.conf").write_text(hba)
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "fsync": fsync,
        "autovacuum": fsync,  # no test lives long enough to need it
        "max_connections": "300",
        "shared_buffers": "64MB",
        **changes,
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [*as_user, str(programs / "postgres"), "-D", str(data), *options]
    try:
        found = RunningCluster(port, "tester", command, folder)
        try:
            yield found
        finally:
            found.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
