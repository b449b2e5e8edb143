"""A real `tempadmin serve`, left to itself: what is over goes within 30 s, also when it was killed in between."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tempadmin.settings import Settings
from tests.bench.bench import STEPS, Client, prepare, walk_in

WITHIN_SECONDS = 30
START_SECONDS = 30


class Server:
    """The program in a process group of its own, on a folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        values = {"data": str(folder), "base_url": f"http://localhost:{self.port}", "secret_keys": "k" * 40}
        self.values = {**values, "mail_url": "none", "workers": "1", **settings}
        self.cookies = prepare(Settings(**self.values), operators=1, instances=0)  # type: ignore[arg-type]
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **{f"TEMPADMIN_{name.upper()}": value for name, value in self.values.items()}}
        command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "serve", "--port", str(self.port)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for(self.answers, START_SECONDS)
        return process

    def answers(self) -> bool:
        try:
            with closing(Client(self.port, {})) as client:
                client.send("GET", f"http://localhost:{self.port}/healthz")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL the master and its worker: nobody gets to tidy up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(START_SECONDS)

    def states(self) -> list[str]:
        with closing(sqlite3.connect(self.folder / "tempadmin.db")) as database:
            return [row[0] for row in database.execute("SELECT state FROM access_requests")]

    def accounts(self) -> int:
        with closing(sqlite3.connect(self.folder / "tempadmin.db")) as database:
            return int(database.execute("SELECT count(*) FROM users WHERE kind = 'temporary'").fetchone()[0])

    def nothing_is_left(self) -> bool:
        return self.states() == ["ended"] and self.accounts() == 0


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """Poll until it holds; return how long that took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s")
        threading.Event().wait(0.1)  # between two looks
    return time.monotonic() - begun


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; all are stopped at the end."""
    started: list[Server] = []

    def serve(**settings: str) -> Server:
        started.append(Server(tmp_path / "data", **settings))
        return started[-1]

    yield serve
    for server in started:
        server.stop()


@contextmanager
def entered(server: Server, duration: str) -> Iterator[Client]:
    with closing(Client(server.port, {"tempadmin_session": server.cookies[0]})) as client:
        walk_in(client, {step: [] for step in STEPS}, duration=duration)
        yield client


def test_at_the_time_limit_pages_refuse_and_the_account_goes_within_30_s(serving: Callable[..., Server]) -> None:
    """Nobody logs out, nobody calls a job: the embedded scheduler ends and removes it."""
    server = serving(default_duration="2", max_duration="2")
    with entered(server, "2") as client:
        assert server.accounts() == 1
        assert wait_for(server.nothing_is_left, 2 + WITHIN_SECONDS) > 0
        assert client.send("GET", f"http://acme.localhost:{server.port}/users").endswith("/login")


def test_at_the_idle_limit_the_account_goes_within_30_s(serving: Callable[..., Server]) -> None:
    """Without a click for the idle limit the access is over."""
    server = serving(idle_timeout="2")
    with entered(server, "3600"):
        wait_for(server.nothing_is_left, 2 + WITHIN_SECONDS)


def test_p1_a_server_that_was_killed_heals_when_it_starts_again(serving: Callable[..., Server]) -> None:
    """Killed while somebody is inside; after the time limit the next start removes the account by itself."""
    server = serving(default_duration="2", max_duration="2")
    with entered(server, "2"):
        server.kill()
    assert server.accounts() == 1
    server.process = server.start()
    # The killed leader's lease has to lapse first (20 s).
    wait_for(server.nothing_is_left, 2 + 2 * WITHIN_SECONDS)
