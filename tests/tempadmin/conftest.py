"""The prepared scene, made once and copied for every test that plays on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from tempadmin.db import db
from tests import postgresql
from tests.conftest import Build
from tests.tempadmin.stage import Stage, prepare
from tests.world import World, make_world

Play = Callable[[], World]


@pytest.fixture(scope="session")
def sqlite_stage(tmp_path_factory: pytest.TempPathFactory, empty_sqlite: Path) -> Stage:
    """The scene in an SQLite file."""
    folder = tmp_path_factory.mktemp("stage")
    shutil.copy(empty_sqlite, folder / "tempadmin.db")
    return _prepared(folder)


@pytest.fixture(scope="session")
def postgresql_stage(
    tmp_path_factory: pytest.TempPathFactory, cluster: postgresql.Cluster, empty_postgresql: str
) -> Stage:
    """The scene in a PostgreSQL database that others are copied from."""
    name = cluster.new_database(empty_postgresql)
    return _prepared(tmp_path_factory.mktemp("stage"), name, database_url=cluster.url(name))


def _prepared(folder: Path, name: str | None = None, **changes: Any) -> Stage:
    world = make_world(folder, **changes)
    with world.app.app_context():
        cookies, words = prepare(world)
        db.session.remove()
        db.engine.dispose()
    return Stage(folder, world.clock.time, cookies, words, name)


@pytest.fixture
def stage(database: str, request: pytest.FixtureRequest) -> Stage:
    """The scene of `stage.py`, on the test's database."""
    return cast(Stage, request.getfixturevalue(f"{database}_stage"))


@pytest.fixture
def play(stage: Stage, build: Build, tmp_path: Path) -> Play:
    """Open one more copy of the scene."""
    numbers = count(1)
    return lambda: stage.play(build, tmp_path / f"scene-{next(numbers)}")


@pytest.fixture
def unlimited(stage: Stage, build: Build, tmp_path: Path) -> World:
    """A copy of the scene without a ceiling per address."""
    return stage.play(build, tmp_path / "unlimited", rate_limits=False)
