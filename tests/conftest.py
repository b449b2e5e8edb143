"""Fixtures: a database made by the real migrations once, copied for every test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from instances.models import VirtualInstance
from tempadmin.db import db
from tempadmin.serving import upgrade_database
from tests.world import World, make_world

os.environ.pop("FLASK_DEBUG", None)

Build = Callable[..., World]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at this version's schema."""
    folder = tmp_path_factory.mktemp("schema")
    world = make_world(folder)
    with world.app.app_context():
        upgrade_database()
        db.session.remove()
        db.engine.dispose()
    return folder / "tempadmin.db"


@pytest.fixture
def build(tmp_path: Path, empty_database: Path) -> Iterator[Build]:
    """Build worlds, each setting by its name; their application context is open until the test ends."""
    opened: list[Any] = []

    def make(folder: str = "data", **changes: Any) -> World:
        data = tmp_path / folder
        if not data.exists():
            data.mkdir()
            shutil.copy(empty_database, data / "tempadmin.db")
        world = make_world(data, **changes)
        context = world.app.app_context()
        context.push()
        opened.append(context)
        world.default_instance()
        return world

    yield make
    for context in reversed(opened):
        db.session.remove()
        db.engine.dispose()
        context.pop()


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
