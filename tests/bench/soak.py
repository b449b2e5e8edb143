"""``python -m tests.bench.soak --minutes 60``: a server at work for long, and what its processes hold meanwhile.

Whole grant cycles and looks at the list begin at a steady rate, so many a second; each minute a line tells what the
master and its workers hold. It ends with a slope, in MiB an hour, and with exit code 1 where a cycle failed, an account
or an open access is left, an invariant does not hold, or the processes grew by more than ``MOST_GROWTH``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from tempadmin.accounts.models import TEMPORARY, User
from tempadmin.app import create_app
from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.settings import Settings
from tests.bench import held, server
from tests.bench.client import Client
from tests.bench.steps import leave, walk_in
from tickets.models import AccessRequest
from tickets.states import State

CODE_SECONDS, SPARE = 30, 4
"""One code of an authenticator works once in its 30 s, so nobody walks twice within four of them."""

WALKERS, INSTANCES = 4, 1000
WARM_MINUTES = 10
MOST_GROWTH = 6.0
"""MiB an hour, all processes together, after the first ten minutes; looked at from half an hour on."""

SEARCHES = ("", "?q=c9", "?q=Customer", "?q=nothing+of+it")


@dataclass
class _Minute:
    """What the walkers saw since the last line."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    times: list[float] = field(default_factory=list)
    cycles: int = 0
    failures: list[str] = field(default_factory=list)

    def take(self) -> tuple[list[float], int]:
        with self.lock:
            taken = self.times, self.cycles
            self.times, self.cycles = [], 0
            return taken


def main() -> int:
    """Soak; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=3, help="grant cycles that begin each second")
    parser.add_argument("--database", default="sqlite", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server.database(options.database) as url:
        values = server.settings_for(Path(folder), server.free_port(), url)
        people = max(8, round(options.rate * CODE_SECONDS * SPARE))
        cookies = server.prepare(_settings(values), operators=people)
        server.add_customers(_settings(values), range(INSTANCES))
        with server.serving(values, Path(folder) / "log") as serving:
            samples, minute = _soak(serving, Path(folder), cookies, options.rate, options.minutes * 60)
        return _told(samples, minute.failures + _broken(values))


def _soak(
    serving: server.Serving, folder: Path, cookies: list[str], rate: float, seconds: float
) -> tuple[list[held.Sample], _Minute]:
    """Walk at a steady rate; what begins too late because all walkers are busy is not made up for."""
    minute, due, over = _Minute(), queue.Queue[str](maxsize=WALKERS), threading.Event()
    walkers = [threading.Thread(target=_walk, args=(serving.port, due, minute), daemon=True) for _ in range(WALKERS)]
    for walker in walkers:
        walker.start()
    begun, samples = time.monotonic(), []
    sys.stdout.write(held.HEADER)

    def sample() -> None:
        times, cycles = minute.take()
        one = held.look(serving.process.pid, folder, (time.monotonic() - begun) / 60, times, cycles)
        samples.append(one)
        sys.stdout.write(one.line())
        sys.stdout.flush()

    def feed() -> None:
        for number, cookie in enumerate(itertools.cycle(cookies)):
            if over.wait(max(0.0, begun + number / rate - time.monotonic())):
                return
            due.put(cookie)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    for number in range(1, max(1, round(seconds / 60)) + 1):
        over.wait(max(0.0, begun + min(number * 60, seconds) - time.monotonic()))
        sample()
    over.set()
    feeder.join()
    for _ in walkers:
        due.put("")
    for walker in walkers:
        walker.join(30)
    return samples, minute


def _walk(port: int, due: queue.Queue[str], minute: _Minute) -> None:
    for number in itertools.count():
        if not (cookie := due.get()):
            return
        with closing(Client(port, {"tempadmin_session": cookie})) as client:
            try:
                walk_in(client, port=port)
                client.send("GET", f"http://localhost:{port}/instances{SEARCHES[number % len(SEARCHES)]}")
                client.send("GET", f"http://localhost:{port}/access")
                client.send("GET", f"http://acme.localhost:{port}/users")
                leave(client, port=port)
            except (OSError, RuntimeError) as error:
                with minute.lock:
                    minute.failures.append(f"a cycle failed: {error}")
            with minute.lock:
                minute.times += itertools.chain.from_iterable(client.times.values())
                minute.cycles += 1


def _broken(values: dict[str, str]) -> list[str]:
    """Return what is left that must not be, after everybody left."""
    app = create_app(_settings(values))
    only_warnings()
    with app.app_context():
        accounts = db.session.scalar(select(func.count()).where(User.kind == TEMPORARY)) or 0
        opened = db.session.scalar(select(func.count()).where(AccessRequest.state != State.ENDED)) or 0
        db.session.remove()
        db.engine.dispose()
    found = {f"{accounts} temporary accounts are left": accounts, f"{opened} accesses have not ended": opened}
    return [said for said, number in found.items() if number] + _invariants(values)


def _invariants(values: dict[str, str]) -> list[str]:
    environment = {**os.environ, **{f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}}
    command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "doctor", "--invariants"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return [f"doctor --invariants: {done.stdout}{done.stderr}"] if done.returncode else []


def _told(samples: list[held.Sample], broken: list[str]) -> int:
    """Say how much they grew and what went wrong."""
    warm = [one for one in samples if one.minute > WARM_MINUTES]
    if len(warm) > 1:
        slope = statistics.linear_regression([one.minute / 60 for one in warm], [one.pss for one in warm]).slope
        sys.stdout.write(f"after the first {WARM_MINUTES} minutes: {slope:+.2f} MiB PSS an hour\n")
        if slope > MOST_GROWTH and len(warm) >= 30 - WARM_MINUTES:
            broken = [*broken, f"the processes grow by {slope:.1f} MiB an hour"]
    sys.stdout.write("".join(f"broken: {one}\n" for one in broken[:20]) or "no cycle failed, nothing is left\n")
    return 1 if broken else 0


def _settings(values: dict[str, str]) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
