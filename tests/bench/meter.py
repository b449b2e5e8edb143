"""What one thing costs: processor time of this process and of its PostgreSQL backends, and the clock on the wall."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from tempadmin.db import db
from tests.bench.steps import step_of
from tests.browser import Browser


class Meter:
    """Notes what things cost, by their names, in milliseconds."""

    def __init__(self) -> None:
        self.cpu: defaultdict[str, list[float]] = defaultdict(list)
        self.wall: defaultdict[str, list[float]] = defaultdict(list)
        self._backends: list[Path] = []

    def forget(self) -> None:
        """Begin anew."""
        self.cpu.clear()
        self.wall.clear()

    def find_backends(self) -> None:
        """See which processes serve the present application's database."""
        if db.engine.dialect.name == "postgresql":
            query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid IS NOT NULL"
            self._backends = [Path(f"/proc/{pid}/schedstat") for pid in db.session.scalars(text(query))]
            db.session.rollback()

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Note what is done inside; an error is not noted."""
        begun, spent = time.perf_counter(), self._spent()
        yield
        self.cpu[name].append((self._spent() - spent) / 1e6)
        self.wall[name].append((time.perf_counter() - begun) * 1e3)

    def median(self, name: str) -> float:
        """What one costs in the middle of all, in milliseconds of processor time."""
        return median(self.cpu[name])

    def wall_median(self, name: str) -> float:
        """The same by the clock on the wall."""
        return median(self.wall[name])

    def _spent(self) -> int:
        return time.process_time_ns() + sum(int(one.read_text("ascii").split()[0]) for one in self._backends)


class Measured(Browser):
    """A browser whose every request is noted, under the name that it was given or the step of the way in that it is."""

    def __init__(self, app: Flask, base_url: str, meter: Meter) -> None:
        super().__init__(app, base_url)
        self._meter, self.name = meter, ""

    @property
    def body(self) -> str:
        """The present page."""
        return self.page

    def send(self, method: str, url: str, form: dict[str, str] | None = None) -> str:
        """Send one request and follow what it answers; return the address where that ends."""
        found = self.post(url, form, follow=True) if method == "POST" else self.get(url, follow=True)
        if found.status_code >= 400:
            raise RuntimeError(f"{method} {url}: {found.status}")
        return self.url

    def _open(self, method: str, url: str, **kwargs: object) -> TestResponse:
        with self._meter.noting(self.name or step_of(method, url)):
            return super()._open(method, url, **kwargs)
