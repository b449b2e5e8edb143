"""However much there was, a page looks at no more of it: counted by the databases themselves, not by the clock.

``make growth`` measures the same pages in time, and with a million requests.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect

from tempadmin.db import db
from tests.bench.side import ACME, AXES, Side
from tests.conftest import POSTGRESQL, SQLITE
from tests.effort import Effort, effort
from tests.world import World

FEW = dict.fromkeys(AXES, 100)
MUCH = dict.fromkeys(AXES, 3_000)
ACCOUNTS = 10_000
LOGARITHMIC = {SQLITE: 600, POSTGRESQL: 60}
"""Steps, rows: what a deeper index, or a page that is fuller than the smallest one, may cost."""
EXPLAINED = {
    "audit: search": "a part of the record is searched, which the smallest one is not as long as",
    "list: search, all found": "it counts a bounded number of those that fit, to choose its way",
    "list: search, a whole host": "the end that all hosts share is in every list of trigrams that is compared",
    "job: housekeeping": "it reads the oldest thousand rows of each kind, which the smallest database does not have",
}
"""What may look at more, and why."""


def test_no_page_and_no_job_looks_at_more_the_more_there_was(
    database: str, database_url: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Thirty times the past, and many more instances: an index that is missing shows at once."""
    if database == SQLITE:
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "tempadmin.db")
    with closing(Side(tmp_path, database_url)) as side:
        few, much = _efforts(side, FEW), _efforts(side, MUCH)
    assert len(much) >= 40
    more = [
        f"{name}: {few[name].get(statement, 0)} -> {spent}: {statement}"
        for name in sorted(much.keys() - EXPLAINED.keys())
        if sum(much[name].values()) > 1.2 * sum(few[name].values()) + LOGARITHMIC[database]
        for statement, spent in much[name].items()
        if spent > few[name].get(statement, 0)
    ]
    assert not more, "\n\n".join(more)


def _efforts(side: Side, sizes: dict[str, int]) -> dict[str, Effort]:
    """Fill up to some sizes; return what the second of two rounds asks of the database, by page."""
    for axis, size in sizes.items():
        side.fill(axis, size)
    side.round()
    found: dict[str, Effort] = defaultdict(lambda: defaultdict(int))
    noting = side.meter.noting

    @contextmanager
    def watching(name: str) -> Iterator[None]:
        with effort() as spent, noting(name):
            yield
        for statement, amount in spent.items():
            found[name][statement] += amount

    side.meter.noting = watching  # type: ignore[method-assign]
    side.round()
    side.meter.noting = noting  # type: ignore[method-assign]
    return found


@pytest.mark.only_postgresql
def test_a_session_of_the_newest_account_is_found_by_its_key_among_many(world: World) -> None:
    """The planner knows of sessions of old accounts only, and would merge: read every account up to the newest."""
    acme = world.instance("acme")
    world.administrator(acme, "ben@acme.example")
    world.signed_in("ben@acme.example", ACME)
    with db.engine.begin() as connection:
        for table, changes in (("users", {"email": "i || email"}), ("login_sessions", {"digest": "md5(i::text)"})):
            names = [column["name"] for column in inspect(connection).get_columns(table) if column["name"] != "id"]
            values = ", ".join(changes.get(name, name) for name in names)
            many = f"SELECT {values} FROM {table}, generate_series(1, {ACCOUNTS}) AS i"
            connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(names)}) {many}")
        connection.exec_driver_sql("ANALYZE")
    world.administrator(acme, "bea@acme.example")
    browser = world.signed_in("bea@acme.example", ACME)
    with effort() as spent:
        assert browser.get("/").status_code == 200
    assert sum(spent.values()) < 100, spent
