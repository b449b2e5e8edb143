"""A real `tempadmin serve` on a folder and its database, and what its tests read there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from tempadmin.settings import Settings
from tests.bench.client import Client
from tests.bench.server import prepare

START_SECONDS = 30
PROGRAM = [sys.executable, "-c", "from tempadmin.cli import main; main()"]


class Server:
    """The program in a process group of its own; one session cookie for each operator."""

    def __init__(self, folder: Path, *, operators: int = 1, **settings: str) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        folder.mkdir(exist_ok=True)
        values = {"data": str(folder), "base_url": f"http://localhost:{self.port}", "secret_keys": "k" * 40}
        values |= {"workers": "1", **settings}
        made = Settings(**values)  # type: ignore[arg-type]
        self.cookies = prepare(made, operators=operators)
        self.engine = create_engine(made.database)
        variables = {f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}
        self.environment = {**os.environ, **variables}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [*PROGRAM, "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=self.environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(self.answers, START_SECONDS)

    def answers(self) -> bool:
        try:
            with closing(Client(self.port, {})) as client:
                client.send("GET", f"http://localhost:{self.port}/healthz")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL the master and its worker: nobody gets to tidy up."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_SECONDS)
        self.engine.dispose()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program on the same data."""
        return subprocess.run(
            [*PROGRAM, *words], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a statement finds, on a connection of its own."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())

    def states(self) -> list[str]:
        """The requests' states, oldest first."""
        return [row.state for row in self.rows("SELECT state FROM access_requests ORDER BY id")]

    def accounts(self) -> int:
        return int(self.rows("SELECT count(*) AS n FROM users WHERE kind = 'temporary'")[0].n)

    def nothing_is_left(self) -> bool:
        return set(self.states()) == {"ended"} and self.accounts() == 0

    def complaints(self) -> list[Any]:
        """What `audit verify` and `doctor` find wrong."""
        verified, examined = self.command("audit", "verify"), self.command("doctor", "--json")
        wrong = [verified.stdout + verified.stderr] if verified.returncode else []
        lines = [line for line in json.loads(examined.stdout) if line["level"] != "ok"]
        return wrong + [line for line in lines if line["check"] != "people"]  # the bench's operators have no password


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """Poll until it holds; return how long that took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s")
        threading.Event().wait(0.1)  # between two looks
    return time.monotonic() - begun
