"""One database of a measurement of growth: its people, and everything that is done in it once a round."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tempadmin.audit import queries
from tempadmin.db import db
from tempadmin.doctor.cli import examine_all
from tempadmin.jobs import by_itself, jobs
from tempadmin.logs import only_warnings
from tempadmin.serving import upgrade_database
from tests.bench import filling
from tests.bench.meter import Measured, Meter
from tests.bench.steps import leave, walk_in
from tests.world import CONSOLE, PASSWORD, make_world
from tickets.models import AccessRequest
from tickets.states import State

OMNIADMINS, PLACES = 3, 4
"""Few: with a hundred requests each one's first page is full, and of a million each has a third or a quarter."""
ACME = "http://acme.localhost:8000"
TOKEN = "t" * 40
INSTANCES, PAST, RECORD = AXES = ("instances", "past requests", "rows of the record")
DAILY = {"cleanup"}
"""Jobs that go through everything: done in each round, they would leave nothing where the next page finds it."""


class Side:
    """An installation: three omniadmins, four customers, one access that is over; the rest is filled in."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        folder.mkdir(exist_ok=True)
        changes: dict[str, Any] = {"rate_limits": "off", "session_lifetime": "86400", "session_idle": "86400"}
        changes |= {"confirm_by_mail": "false", "cleanup_enabled": "true", "metrics_token": TOKEN}
        changes |= {} if database_url is None else {"database_url": database_url}
        self._world = make_world(folder, **changes)
        only_warnings()
        self.meter = Meter()
        with self.at_work():
            upgrade_database()
            self._world.default_instance()
            people = [self._world.omniadmin(f"op{number}@operator.example").id for number in range(OMNIADMINS)]
            acme = self._world.instance("acme")
            places = [acme.id, *(self._world.instance(f"place{number}").id for number in range(1, PLACES))]
            self._world.administrator(acme, "admin@acme.example")
            self._omniadmin, self._customer = self._browser(CONSOLE), self._browser(ACME)
            self._sign_in()
            self._walk()
            self._first = self._world.newest_request().id
            self._people, self._places = people, places
            self._filled = dict.fromkeys(AXES, 0)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Be inside the application."""
        with self._world.app.app_context():
            yield
            db.session.remove()

    def close(self) -> None:
        """Let go of the database."""
        with self._world.app.app_context():
            db.session.remove()
            db.engine.dispose()

    def fill(self, axis: str, size: int) -> None:
        """Have so much of one thing."""
        first, self._filled[axis] = self._filled[axis], size
        with self.at_work():
            if axis == INSTANCES:
                filling.instances(first, size)
            elif axis == PAST:
                filling.past(first, size, like=self._first, requesters=self._people, places=self._places)
            else:
                filling.record(first, size, like=self._first)
            filling.settle()
        self._world.clock.advance(hours=2)  # what was done before is none of the present any more

    def round(self) -> None:
        """Do everything once; what each thing costs is noted."""
        with self.at_work():
            self.meter.find_backends()
            self._sign_in()
            for name, (browser, path) in self._pages().items():
                browser.name = name
                browser.send("GET", path)
                if "far down" in name and 'rel="prev"' not in browser.page:
                    raise RuntimeError(f"{name}: this is the first page")
            self._omniadmin.name = ""
            self._walk()
            for name in sorted(jobs(self._world.app).keys() - DAILY):
                self._run(name)
            with self.meter.noting("metrics"):
                Context().run(self._scrape)

    def long_ones(self, *, verify: bool) -> None:
        """Do once what goes through everything by its nature."""
        with self.at_work():
            self.meter.find_backends()
            for name in DAILY:
                self._run(name)
            with self.meter.noting("doctor"):
                list(examine_all())
            if verify:
                with self.meter.noting("audit verify"):
                    self._verify()

    def _verify(self) -> None:
        for instance_id in queries.instance_ids():
            faults = list(queries.verify(instance_id=instance_id, runtime=self._world.runtime))
            if faults:
                raise RuntimeError(f"what was filled in does not hold: {faults[0]}")

    def _run(self, name: str) -> None:
        with by_itself(lambda: False), self.meter.noting(f"job: {name}"):
            jobs(self._world.app)[name].run(self._world.runtime)
        db.session.remove()

    def _far_down(self, path: str, list_and_order: str, key: list[str | int]) -> str:
        """Return the address of the page after a key, as the link on the page before has it."""
        sealed = self._world.runtime.keys.seal("page", json.dumps(key).encode(), owner=list_and_order)
        return f"{path}{'&' if '?' in path else '?'}after={sealed}"

    def _browser(self, base_url: str) -> Measured:
        return Measured(self._world.app, base_url, self.meter)

    def _sign_in(self) -> None:
        self._world.clock.advance(hours=3)  # nobody may ask for one instance without end within a day
        for browser, home, address in (
            (self._omniadmin, CONSOLE, "op0@operator.example"),
            (self._customer, ACME, "admin@acme.example"),
        ):
            browser.client = self._world.app.test_client()
            browser.name = "sign-in"
            browser.get(f"{home}/login")
            browser.post("/login", {"email": address, "password": PASSWORD}, follow=True)
            if browser.url.endswith("/login/verify"):
                browser.post("/login/verify", {"code": self._world.code()}, follow=True)

    def _walk(self) -> None:
        walk_in(self._omniadmin, code=self._world.next_code)
        leave(self._omniadmin)

    def _scrape(self) -> None:
        client = self._world.app.test_client()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = client.get("/metrics", base_url=CONSOLE, headers=headers, buffered=True)
        if answer.status_code != 200:
            raise RuntimeError(f"metrics: {answer.status}")

    def _pages(self) -> dict[str, tuple[Measured, str]]:
        """Return every page that is looked at, by name: who looks, and its address."""
        ended = select(AccessRequest.public_id).where(AccessRequest.state == State.ENDED)
        old = db.session.scalars(ended.where(AccessRequest.id > self._filled[PAST] // 2).limit(1)).one()
        first = db.session.scalars(ended.where(AccessRequest.id == self._first)).one()
        db.session.rollback()
        console = {
            "list: first page": "/instances",
            "list: search, one found": "/instances?q=c57.",
            "list: search, a whole host": "/instances?q=c57.localhost",
            "list: search, all found": "/instances?q=customer",
            "list: by host": "/instances?sort=-host",
            "list: a page far down": self._far_down("/instances", "instances.list_instances name id False", ["4", 0]),
            "access: mine": "/access",
            "access: all": "/access?tab=all",
            "access: needs attention": "/access?tab=attention",
            "access: page of an old one": f"/access/{old}",
            "audit": "/audit",
            "jobs": "/jobs",
        }
        if middle := self._filled[PAST] // 2:
            far_down = self._far_down("/access?tab=all", "console.list_access id True", [middle])
            console["access: all, a page far down"] = far_down
        customer = {
            "customer: support access": "/support-access",
            "customer: its live part": "/support-access/live",
            "customer: record of one": f"/support-access/{first}",
            "customer: people": "/users",
        }
        pages = {name: (self._omniadmin, CONSOLE + path) for name, path in console.items()}
        pages |= {name: (self._customer, ACME + path) for name, path in customer.items()}
        # The last one: it goes through more than SQLite's cache holds, and the page after it would pay for that.
        return pages | {"audit: search": (self._omniadmin, f"{CONSOLE}/audit?q=banner")}
