"""A real `tempadmin serve` with people and instances in its database, and what its processes take."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts import factors, sessions
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.app import create_app
from tempadmin.audit.log import Actor
from tempadmin.db import db, transaction
from tempadmin.runtime import current_runtime
from tempadmin.serving import upgrade_database
from tempadmin.settings import Settings
from tests import postgresql
from tests.bench import held
from tests.bench.steps import step_of
from tests.world import SEED

DAY = timedelta(days=1)


@dataclass
class Serving:
    """A server at work; ``cold`` is how long its first answer took from the start of the process, in seconds."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    cold: float

    def milliseconds(self) -> dict[str, list[float]]:
        """How long each step took by the server's own log."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for line in self.log.read_text("utf-8").splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == "request":
                found[step_of(entry["method"], entry["path"])].append(entry["ms"])
        return found

    def memory(self) -> list[float]:
        """PSS of the master and of each worker, in MiB: shared pages counted by their share."""
        master = self.process.pid
        return [held.pss(pid) for pid in (master, *held.children(master))]


def settings_for(folder: Path, port: int, database_url: str | None) -> dict[str, str]:
    """Mails off (the confirmation opens from the page), rate limits off, all else by default."""
    values = {"data": str(folder), "base_url": f"http://localhost:{port}", "secret_keys": "bench-" * 8}
    values |= {"mail_url": "none", "rate_limits": "off", "session_lifetime": "86400"}
    return values | ({} if database_url is None else {"database_url": database_url})


@contextmanager
def serving(values: dict[str, str], log: Path) -> Iterator[Serving]:
    """Start a server, wait for its first answer, end it."""
    port = int(values["base_url"].rpartition(":")[2])
    environment = {**os.environ, **{f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}}
    command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "serve", "--port", str(port)]
    begun = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors)
    try:
        while not _answers(port):
            time.sleep(0.01)  # noqa: TID251 - a bench measures; it asserts nothing
        yield Serving(process, port, log, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def prepare(settings: Settings, *, operators: int) -> list[str]:
    """Make the database, people and one customer; return a session cookie per operator.

    One TOTP time step works once per person, so each walk has an operator of its own.
    """
    with _context(settings):
        upgrade_database()
        now = current_runtime().now()
        with transaction() as session:
            home = VirtualInstance(web_id="operator", name="Operator", is_default=True, created_at=now)
            acme = VirtualInstance(web_id="acme", name="Acme", virtual_hostname="acme.localhost", created_at=now)
            session.add_all([home, acme])
            session.flush()
            return [_add_operator(f"op{number}@o.example", home.id) for number in range(operators)]


def add_operator(settings: Settings, address: str) -> str:
    """Add one more to an installation of people; return a session cookie."""
    with _context(settings), transaction() as session:
        home = session.scalars(select(VirtualInstance.id).where(VirtualInstance.is_default)).one()
        return _add_operator(address, home)


def _add_operator(address: str, home: int) -> str:
    runtime = current_runtime()
    now = runtime.now()
    user = User(instance_id=home, role=OMNIADMIN, email=address, full_name="Op", created_at=now)
    db.session.add(user)
    db.session.flush()
    factors.enrol(user_id=user.id, seed=SEED, step=0, now=now, runtime=runtime)
    actor = Actor(id=user.id, name="Op")
    return sessions.open_session(user=user, actor=actor, now=now, lifetime=DAY, idle=DAY, mfa_at=now, runtime=runtime)


def add_customers(settings: Settings, numbers: range) -> None:
    """Add customers' instances."""
    with _context(settings):
        now = current_runtime().now()
        with transaction() as session:
            session.add_all(
                VirtualInstance(
                    web_id=f"c{number}",
                    name=f"Customer {number}",
                    virtual_hostname=f"c{number}.localhost",
                    created_at=now,
                )
                for number in numbers
            )


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _context(settings: Settings) -> Iterator[None]:
    app = create_app(settings)
    with app.app_context():
        yield
        db.session.remove()
        db.engine.dispose()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


@contextmanager
def database(kind: str) -> Iterator[str | None]:
    """A database of its own with full durability: its address, or ``None`` for a file in the data folder."""
    if kind == "sqlite":
        yield None
        return
    with postgresql.cluster(fsync="on") as cluster:
        yield cluster.url(cluster.new_database())
