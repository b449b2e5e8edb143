"""What pages and steps cost: SQL statements, write transactions and bytes; ``costs.toml`` holds each one down.

``python -m tests.tickets.costs`` writes that table anew from what they cost now, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import math
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.serving import upgrade_database
from tests.bench import server
from tests.bench.steps import leave, step_of, walk_in
from tests.browser import Browser
from tests.statements import commits, statements
from tests.tickets.crowd import crowd
from tests.world import CONSOLE, World, make_world

TABLE = Path(__file__).with_name("costs.toml")
ACME = "http://acme.localhost:8000"
ROOM = 1.1
"""A page may grow by a tenth before anybody has to say so in the table."""

PLENTY = 30
HEAD = """# What each page and each step of the grant cycle may cost at most: SQL statements, transactions that write,
# bytes of the answer as it stands (not compressed). Lists have a full page of 25. On PostgreSQL what differs alone.
# test_costs.py fails where a page needs more, and where a line here is more than a fifth too high.
# Written by: python -m tests.tickets.costs
"""


@dataclass(frozen=True)
class Cost:
    """What one answer took."""

    statements: int
    writes: int
    bytes: int

    def ceiling(self) -> Cost:
        """Return what the table says: the counts as they are, the bytes with some room, in round numbers."""
        return Cost(self.statements, self.writes, math.ceil(self.bytes * ROOM / 50) * 50)


class Weighing(Browser):
    """A browser that weighs each answer, by the step that its address belongs to or by a name given before."""

    name = ""

    def __init__(self, signed_in: Browser, costs: dict[str, Cost]) -> None:
        self.client, self.url, self.page, self.trail = signed_in.client, signed_in.url, signed_in.page, []
        self.asked, self.costs = self.url, costs

    @property
    def body(self) -> str:
        return self.page

    def send(self, method: str, url: str, form: dict[str, str] | None = None) -> str:
        """Send one request and follow what it answers; return the address where that ends."""
        response = self.post(url, form, follow=True) if method == "POST" else self.get(url, follow=True)
        assert response.status_code == 200, (method, url, self.text)
        return self.url

    def weigh(self, name: str, url: str) -> None:
        """Look at a page, twice: the first time may make what stays."""
        self.name = name
        for _ in range(2):
            assert self.get(url).status_code == 200, (url, self.text)
        self.name = ""

    def _open(self, method: str, url: str, **kwargs: object) -> TestResponse:
        with statements() as seen, commits() as written:
            response = super()._open(method, url, **kwargs)
        name = self.name or step_of(method, self.asked)
        self.costs[name] = Cost(len(seen), len(written), len(response.get_data()))
        return response


def weighed(world: World) -> dict[str, Cost]:
    """Walk and look around in a world without mails; return what each answer cost, the second time."""
    costs: dict[str, Cost] = {}
    _fill(world)
    ada = Weighing(world.signed_in(), costs)
    for _ in range(2):
        walk_in(ada, code=world.next_code)
        leave(ada)
    newest = world.newest_request().public_id
    ada.get(CONSOLE + "/instances")
    ada.weigh("list of instances: next page", ada.link(r"/instances\?[^\"]*after=[^\"]+"))
    for name, path in {
        "list of instances: search": "/instances?q=customer",
        "console: start page": "/",
        "console: requests, mine": "/access",
        "console: requests, all": "/access?tab=all",
        "console: a request": f"/access/{newest}",
        "console: audit": "/audit",
        "console: jobs": "/jobs",
    }.items():
        ada.weigh(name, CONSOLE + path)
    admin = Weighing(world.signed_in("admin@acme.example", ACME), costs)
    for name, path in {
        "customer: start page": "/",
        "customer: people": "/users",
        "customer: search for people": "/users?q=person",
        "customer: settings": "/settings",
        "customer: support access": "/support-access",
        "customer: a request": f"/support-access/{newest}",
    }.items():
        admin.weigh(name, ACME + path)
    return costs


def _fill(world: World) -> None:
    """Put people and instances there, more than a page of each, and somebody else inside each of the instances."""
    world.omniadmin()
    eve = world.omniadmin("eve@operator.example", "Eve Stein")
    acme = world.instance("acme", "Acme Logistics")
    world.administrator(acme, "admin@acme.example")
    customers = [world.instance(f"c{number}", f"Customer {number}").id for number in range(PLENTY)]
    for number in range(PLENTY):
        world.user(acme, f"person{number}@acme.example")
    crowd(requesters=[eve.id], instances=customers, ends_at=world.clock.now() + timedelta(hours=8))


def table() -> dict[str, dict[str, Cost]]:
    """Read what each page may cost at most, by database."""
    read = tomllib.loads(TABLE.read_text("utf-8"))
    sqlite = {name: Cost(**cost) for name, cost in read["sqlite"].items()}
    return {"sqlite": sqlite, "postgresql": sqlite | {name: Cost(**cost) for name, cost in read["postgresql"].items()}}


def main() -> None:
    """Write the table anew."""
    rows: list[str] = []
    common: Mapping[str, Cost] = {}
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
            changes: dict[str, Any] = {} if url is None else {"database_url": url}
            world = make_world(Path(folder), mail_url="none", **changes)
            only_warnings()
            with world.app.app_context():
                upgrade_database()
                world.default_instance()
                ceilings = {name: cost.ceiling() for name, cost in weighed(world).items()}
                db.session.remove()
                db.engine.dispose()
        rows += [
            "",
            f"[{kind}]",
            *(_row(name, one) for name, one in ceilings.items() if not _like(one, common.get(name))),
        ]
        common = ceilings
    TABLE.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")


def _like(one: Cost, other: Cost | None) -> bool:
    """Tell whether a database needs no line of its own: a few bytes are an id's."""
    return other is not None and (one.statements, one.writes) == (other.statements, other.writes)


def _row(name: str, cost: Cost) -> str:
    return f'"{name}" = {{ statements = {cost.statements}, writes = {cost.writes}, bytes = {cost.bytes} }}'


if __name__ == "__main__":
    main()
