"""The prepared scene, made once and copied for every test that plays on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tempadmin.db import db
from tests.conftest import Build
from tests.tempadmin.stage import Stage, prepare
from tests.world import World, make_world

Play = Callable[[], World]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, empty_sqlite: Path) -> Stage:
    """Five people, four customers, requests in three states."""
    folder = tmp_path_factory.mktemp("stage")
    shutil.copy(empty_sqlite, folder / "tempadmin.db")
    world = make_world(folder)
    with world.app.app_context():
        cookies, words = prepare(world)
        db.session.remove()
        db.engine.dispose()
    return Stage(folder, world.clock.time, cookies, words)


@pytest.fixture
def play(stage: Stage, build: Build, tmp_path: Path) -> Play:
    """Open one more copy of the scene."""
    numbers = count(1)
    return lambda: stage.play(build, tmp_path / f"scene-{next(numbers)}")
