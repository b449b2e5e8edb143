"""Ten thousand accesses that are over at once: how long until all are gone, and how quick the pages stay meanwhile.

``python -m tests.bench.ends`` measures this alone. Two gunicorn workers with the scheduler inside, as anybody runs it.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Self

from sqlalchemy import func, select

from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, TEMPORARY, User
from tempadmin.app import create_app
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.logs import only_warnings
from tempadmin.settings import Settings
from tests.bench import server
from tests.bench.client import Client
from tests.bench.steps import walk_in
from tests.tickets.crowd import crowd
from tickets.models import AccessRequest
from tickets.states import State

PEOPLE, PLACES = 50, 200
IN_ADVANCE = timedelta(seconds=20)
PATIENCE = 600
Figures = dict[str, float]


def measure(kind: str) -> Figures:
    """Measure on one database of its own, with full durability."""
    with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
        values = server.settings_for(Path(folder), server.free_port(), url)
        settings = Settings(**values)  # type: ignore[arg-type]
        cookies = server.prepare(settings, operators=PEOPLE + 2)
        server.add_customers(settings, range(PLACES))
        with server.serving(values, Path(folder) / "log") as serving, _Watcher(settings) as watcher:
            inside = Client(serving.port, {"tempadmin_session": cookies[-1]})
            outside = Client(serving.port, {"tempadmin_session": cookies[-2]})
            with closing(inside), closing(outside):
                walk_in(inside, port=serving.port)
                # Both begin before the moment comes, and none of this is counted.
                over_at = watcher.fill()
                stop = threading.Event()
                pages = {
                    "list of instances": (outside, f"http://localhost:{serving.port}/instances"),
                    "page as temporary admin": (inside, f"http://acme.localhost:{serving.port}/users"),
                }
                times: dict[str, list[float]] = {name: [] for name in pages}
                threads = [
                    threading.Thread(target=_load, args=(*pages[name], times[name], over_at, stop)) for name in pages
                ]
                waits: list[float] = []
                if kind == "sqlite":
                    file = Path(folder) / "tempadmin.db"
                    threads.append(threading.Thread(target=_write, args=(file, waits, over_at, stop)))
                for thread in threads:
                    thread.start()
                ended, gone = watcher.until_gone(over_at)
                stop.set()
                for thread in threads:
                    thread.join()
    figures = {"10,000 ends: all refused and ending after, s": ended, "10,000 ends: all accounts gone after, s": gone}
    for name, spent in times.items():
        figures[f"10,000 ends: {name} meanwhile, p50 ms"] = statistics.median(spent)
        figures[f"10,000 ends: {name} meanwhile, p99 ms"] = statistics.quantiles(spent, n=100)[98]
        figures[f"10,000 ends: {name} meanwhile, pages"] = float(len(spent))
    if waits:
        figures["10,000 ends: a writer's wait for the lock meanwhile, p99 ms"] = statistics.quantiles(waits, n=100)[98]
        figures["10,000 ends: a writer's wait for the lock meanwhile, longest ms"] = max(waits)
    return figures


class _Watcher:
    """An application of its own on the same database."""

    def __init__(self, settings: Settings) -> None:
        self._app = create_app(settings)
        only_warnings()

    def __enter__(self) -> Self:
        self._context = self._app.app_context()
        self._context.push()
        return self

    def __exit__(self, *_raised: object) -> None:
        db.session.remove()
        db.engine.dispose()
        self._context.pop()

    def fill(self) -> float:
        """Have everybody be inside everywhere until a moment that is near; return it, in seconds since 1970."""
        people = db.session.scalars(select(User.id).where(User.role == OMNIADMIN).order_by(User.id).limit(PEOPLE)).all()
        places = db.session.scalars(select(VirtualInstance.id).where(VirtualInstance.web_id.like("c%"))).all()
        now = SystemClock().now()
        with transaction() as session:
            session.add_all(
                User(
                    instance_id=place,
                    role="administrator",
                    email=f"admin@{place}.example",
                    full_name="Admin",
                    password_hash="unused",
                    created_at=now,
                )
                for place in places
            )
        over_at = SystemClock().now() + IN_ADVANCE
        crowd(requesters=people, instances=places, ends_at=over_at)
        return over_at.timestamp()

    def until_gone(self, over_at: float) -> tuple[float, float]:
        """Wait; return how long after the moment the last access was ended, and the last account gone."""
        ended = 0.0
        active = select(func.count()).where(AccessRequest.state == State.ACTIVE, AccessRequest.public_id.like("crowd%"))
        left = select(func.count()).where(User.kind == TEMPORARY, User.email.like("crowd%"))
        ending = select(func.count()).where(AccessRequest.state == State.ENDING)
        while (passed := time.time() - over_at) < PATIENCE:
            db.session.rollback()
            if not ended and not db.session.scalar(active):
                ended = passed
            if ended and not db.session.scalar(left) and not db.session.scalar(ending):
                return ended, passed
            db.session.rollback()
            threading.Event().wait(0.25)
        raise RuntimeError("they did not go")


def _load(client: Client, url: str, spent: list[float], over_at: float, stop: threading.Event) -> None:
    """Load one page again and again, from the moment on, with a pause as between two clicks of many people."""
    while not stop.is_set():
        begun = time.perf_counter()
        client.send("GET", url)
        if time.time() >= over_at:
            spent.append((time.perf_counter() - begun) * 1000)
        stop.wait(0.05)


def _write(file: Path, waits: list[float], over_at: float, stop: threading.Event) -> None:
    """Take SQLite's lock for writers again and again: no transaction holds it for longer than the longest wait."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
        while not stop.wait(0.02):
            begun = time.perf_counter()
            while not _has_begun(connection):
                stop.wait(0.001)
            connection.execute("ROLLBACK")
            if time.time() >= over_at:
                waits.append((time.perf_counter() - begun) * 1000)


def _has_begun(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


if __name__ == "__main__":
    for one in sys.argv[1:] or ["sqlite", "postgresql"]:
        sys.stdout.write(f"{one} {json.dumps(measure(one), indent=1)}\n")
