"""Fixtures: a database made by the real migrations once, copied for every test, on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.serving import upgrade_database
from tests import postgresql
from tests.handed_on import HandedOn
from tests.world import World, make_world

os.environ.pop("FLASK_DEBUG", None)

SQLITE, POSTGRESQL = "sqlite", "postgresql"
Build = Callable[..., World]
LONG_FIRST = (
    "guide/test_connect.py",
    "chaos/test_chaos.py",
    "tickets/test_killed_and_left_alone.py",
    "tempadmin/test_routes.py",
    "bad_days/test_locked_for_long.py",
    "tempadmin/test_junk.py",
    "chromium/test_two_browsers.py",
    "tickets/test_lost_in_the_middle.py",
    "tickets/test_killed_and_gone_on_with.py",
    "tempadmin/test_junk_in_addresses.py",
    "chromium/test_walk.py",
    "tickets/test_real_server.py",
    "tickets/test_machine_walk.py",
    "chromium/test_pages.py",
    "tempadmin/test_other_instances.py",
    "tickets/test_rival_ends.py",
    "scheduler/test_processes.py",
    "tempadmin/test_payloads.py",
)
"""Files that take half a minute and more: begun last, they would keep one process busy while the others have ended."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer in a hurry choose one database; the default is what CI runs."""
    parser.addoption("--databases", default="sqlite,postgresql", help="sqlite,postgresql")
    parser.addoption("--walks", default=1, type=int, help="so many times as many random walks as CI does")
    parser.addoption("--chaos-seconds", default="60", help="how long tests/chaos breaks things")
    parser.addoption("--chaos-seed", default="", help="what it tries; printed when a promise breaks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever touches the database on both, unless it says that it speaks of one."""
    if "database" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--databases").split(",")
    only = [kind for kind in (SQLITE, POSTGRESQL) if metafunc.definition.get_closest_marker(f"only_{kind}")]
    kinds = [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in only or chosen]
    metafunc.parametrize("database", kinds, indirect=True, scope="function")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out a parameter that speaks of the other database (its mark stands on itself); put the long files first."""
    mine = [item for item in items if _belongs(item)]
    names = {name: at for at, name in enumerate(LONG_FIRST)}
    items[:] = sorted(mine, key=lambda item: names.get(_file(item), len(names)))


def pytest_collection_finish() -> None:
    """Spare the collector what was imported: it would look at all of it again and again (a twentieth of the time)."""
    gc.collect()
    gc.freeze()


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def _belongs(item: pytest.Item) -> bool:
    kind = getattr(item, "callspec", None) and item.callspec.params.get("database")  # type: ignore[attr-defined]
    other = {SQLITE: POSTGRESQL, POSTGRESQL: SQLITE}.get(str(kind))
    return other is None or item.get_closest_marker(f"only_{other}") is None


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at this version's schema."""
    folder = tmp_path_factory.mktemp("schema")
    _migrate(folder)
    return folder / "tempadmin.db"


def need_postgresql() -> None:
    """Fail where there is no PostgreSQL in CI; leave the test out elsewhere."""
    if not postgresql.available():
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed")


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    """End the servers that were started at their first use."""
    yield
    postgresql.until_the_end.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgresql.Cluster]:
    """A throw-away PostgreSQL server of this test process."""
    need_postgresql()
    with postgresql.cluster() as running:
        yield running


@pytest.fixture(scope="session")
def empty_postgresql(cluster: postgresql.Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a PostgreSQL database at this version's schema."""
    name = cluster.new_database()
    _migrate(tmp_path_factory.mktemp("schema"), database_url=cluster.url(name))
    return name


@pytest.fixture(scope="session")
def handed_on(cluster: postgresql.Cluster) -> Iterator[HandedOn]:
    """Where tests take a copy of a PostgreSQL database from, and give it back."""
    with closing(HandedOn(cluster)) as databases:
        yield databases


@pytest.fixture
def database_url(database: str, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Where processes of their own find a database at this version's schema; ``None``: a file in their folder."""
    if database == SQLITE:
        yield None
        return
    databases: HandedOn = request.getfixturevalue("handed_on")
    name = databases.take(request.getfixturevalue("empty_postgresql"))
    yield databases.cluster.url(name)
    databases.give_back(name)


@pytest.fixture
def build(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> Iterator[Build]:
    """Build worlds, each setting by its name; their application context is open until the test ends."""
    opened: list[Any] = []
    names: dict[Path, str] = {}

    def make(folder: str = "data", *, copy_of: str | None = None, **changes: Any) -> World:
        data = tmp_path / folder
        new = copy_of is not None or not data.exists()
        data.mkdir(exist_ok=True)
        if database == POSTGRESQL and "database_url" not in changes:
            databases: HandedOn = request.getfixturevalue("handed_on")
            if new:
                names[data] = databases.take(copy_of or request.getfixturevalue("empty_postgresql"))
            changes["database_url"] = databases.cluster.url(names[data])
        elif new and copy_of is None:
            shutil.copy(request.getfixturevalue("empty_sqlite"), data / "tempadmin.db")
        world = make_world(data, **changes)
        context = world.app.app_context()
        context.push()
        opened.append(context)
        world.default_instance()
        db.session.rollback()  # PostgreSQL ends a session that stays in its transaction while a long test goes on
        return world

    yield make
    for context in reversed(opened):
        db.session.remove()
        db.engine.dispose()
        context.pop()
    for name in names.values():
        request.getfixturevalue("handed_on").give_back(name)


@pytest.fixture
def world(build: Build) -> World:
    """A world with the defaults."""
    return build()


@pytest.fixture
def app(world: World) -> Flask:
    return world.app


@pytest.fixture
def acme(world: World) -> VirtualInstance:
    """A customer's instance with an omniadmin who may ask for it."""
    world.omniadmin()
    return world.instance("acme", "Acme Logistics")


def _migrate(folder: Path, **changes: Any) -> None:
    world = make_world(folder, **changes)
    with world.app.app_context():
        upgrade_database()
        db.session.remove()
        db.engine.dispose()
