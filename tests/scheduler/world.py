"""A small world for the scheduler's tests: an application on a real SQLite file, a clock that tests move."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask

from instances.models import VirtualInstance
from tempadmin.app import create_app
from tempadmin.clock import Clock
from tempadmin.db import db, transaction
from tempadmin.jobs import Job, jobs
from tempadmin.runtime import Runtime
from tempadmin.settings import Settings

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
R = TypeVar("R")

MADE: list[Flask] = []
"""The applications whose connections are still to be closed."""


class FakeClock:
    def __init__(self, now: datetime = NOON) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment

    def advance(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


def make_app(data: Path, clock: Clock | None = None, **settings: Any) -> Flask:
    """An application on the folder's database whose only jobs are the test's own."""
    values = {"data": data, "base_url": "http://localhost:8000", "secret_keys": "k" * 40, **settings}
    app = create_app(Settings(**{"modules": ("instances", "scheduler"), **values}), clock=clock)
    jobs(app).clear()
    MADE.append(app)
    return app


def close_all() -> None:
    while MADE:
        app = MADE.pop()
        with app.app_context():
            db.engine.dispose()


def fill(app: Flask) -> None:
    """The tables and the default instance."""
    with app.app_context():
        db.create_all()
        with transaction():
            db.session.add(VirtualInstance(web_id="console", name="Console", is_default=True, created_at=NOON))


def make_job(
    work: Callable[[Runtime], str] | None = None, *, name: str = "tidy", schedule: timedelta | str = "0 3 * * *"
) -> Job:
    return Job(name=name, description="Tidies", schedule=schedule, run=work or (lambda _runtime: "tidied"))


def does(*actions: Callable[[], object]) -> Callable[[Runtime], str]:
    """A job's work: these, one after the other."""

    def work(_runtime: Runtime) -> str:
        for action in actions:
            action()
        return "did it"

    return work


def rows(app: Flask, statement: Any) -> list[Any]:
    with app.app_context():
        found = list(db.session.scalars(statement))
        db.session.expunge_all()
        return found


def at_once(app: Flask, work: Callable[[], R], *, threads: int) -> list[R]:
    """What each of many threads got that were let go together."""
    barrier = threading.Barrier(threads)

    def one() -> R:
        with app.app_context():
            barrier.wait()
            return work()

    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(threads)]]


def wait_for(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(0.02)
