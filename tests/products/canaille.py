"""Canaille, an identity provider with a SCIM server, started from an environment of its own as its manual has it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.bench.server import free_port
from tests.tickets.servers import wait_for

CLIENT, SECRET, GROUP = "tempadmin", "s3cret-of-the-client", "admins"
CONFIG = """
SECRET_KEY = "a secret of this run alone"
SERVER_NAME = "127.0.0.1:{port}"
PREFERRED_URL_SCHEME = "http"
[CANAILLE]
DATABASE = "sql"
TIMEZONE = "UTC"
[CANAILLE_SQL]
DATABASE_URI = "sqlite:///canaille.sqlite"
[CANAILLE_OIDC]
[CANAILLE_SCIM]
ENABLE_SERVER = true
"""
MADE = (
    "install",
    "create user --quiet --user-name jane --formatted-name Jane --family-name Doe --emails jane@birch.example",
    f"create group --quiet --display-name {GROUP} --members jane",
    (
        f"create client --quiet --client-id {CLIENT} --client-secret {SECRET} --client-name tempadmin"
        " --grant-types client_credentials --token-endpoint-auth-method client_secret_basic --scope openid"
    ),
)


class Canaille:
    """A running Canaille, and a look into it by its own SCIM server, without our connector."""

    def __init__(self, base: str) -> None:
        self.base, self.url = base, f"{base}/scim/v2"
        self._client = httpx.Client(trust_env=False, timeout=30)
        form, who = {"grant_type": "client_credentials"}, (CLIENT, SECRET)
        token = self._client.post(f"{base}/oauth/token", data=form, auth=who).json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def users(self) -> dict[str, dict[str, Any]]:
        return {one["userName"]: one for one in self._list("Users")}

    def administrators(self) -> list[str]:
        (group,) = [one for one in self._list("Groups") if one["displayName"] == GROUP]
        return [member["value"] for member in group.get("members", [])]

    def put(self, name: str) -> None:
        user = "urn:ietf:params:scim:schemas:core:2.0:User"
        names = {"formatted": name, "familyName": name}
        sent = {"schemas": [user], "userName": name, "name": names, "active": True}
        assert self._client.post(f"{self.url}/Users", json=sent).status_code == 201

    def change(self, name: str, path: str, value: object) -> None:
        schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        sent = {"schemas": [schema], "Operations": [{"op": "replace", "path": path, "value": value}]}
        assert self._client.patch(f"{self.url}/Users/{name}", json=sent).status_code == 200

    def clear(self) -> None:
        """Leave nobody but Jane."""
        for name in self.users():
            if name != "jane":
                self._client.delete(f"{self.url}/Users/{name}")

    def close(self) -> None:
        self._client.close()

    def _list(self, kind: str) -> list[dict[str, Any]]:
        answer: dict[str, Any] = self._client.get(f"{self.url}/{kind}").raise_for_status().json()
        return answer.get("Resources", [])


@contextmanager
def canaille(program: Path, folder: Path) -> Iterator[Canaille]:
    """Make its database, its group and our client by its own commands; serve it on loopback; end it by its group."""
    port = free_port()
    (folder / "canaille.toml").write_text(CONFIG.format(port=port))
    environment = {**os.environ, "CANAILLE_CONFIG": "canaille.toml"}
    for words in MADE:
        command = [str(program), *words.split()]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    with (folder / "canaille.log").open("wb") as log:
        serving = subprocess.Popen(
            [str(program), "run", "--bind", f"127.0.0.1:{port}"],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(base), 60)
        running = Canaille(base)
        yield running
        running.close()
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.wait(20)


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/.well-known/openid-configuration", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
