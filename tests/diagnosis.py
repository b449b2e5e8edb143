"""A healthy installation in the present, and what `tempadmin doctor` says of one."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scheduler import lease, runs
from tempadmin.cli import build as build_command
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tempadmin.jobs import jobs
from tests.conftest import POSTGRESQL, Build
from tests.handed_on import HandedOn
from tests.world import CONSOLE, KEYS, FakeClock, World


@dataclass(frozen=True)
class Diagnosis:
    """The exit code, and what was found by check: level and message with advice."""

    exit_code: int
    found: dict[str, list[tuple[str, str]]]

    def says(self, check: str, level: str, *words: str) -> bool:
        """Whether a check found this, all these words in one line."""
        return any(was == level and all(word in line for word in words) for was, line in self.found[check])

    @property
    def bad(self) -> dict[str, list[tuple[str, str]]]:
        """What is not well."""
        return {check: lines for check, lines in self.found.items() if any(level != "ok" for level, _ in lines)}


_KEPT: dict[str, tuple[Path, str, datetime]] = {}
"""By kind of database: the folder, the database's name, and the moment of a world that was made in this process."""


def healthy_world(build: Build, request: pytest.FixtureRequest) -> World:
    """Somebody inside Acme, a request that waits, one that has ended, and a scheduler that has just renewed its lease.

    The command reads the machine's clock, so all of this happened in the last minutes. The people's part of it is
    played once and copied afterwards; the lease is of now.
    """
    kind = request.getfixturevalue("database")
    if kind not in _KEPT:
        _KEPT[kind] = _play(build, request)
    folder, name, moment = _KEPT[kind]
    data = request.getfixturevalue("tmp_path") / "healthy"
    shutil.copytree(folder, data)
    changes: dict[str, Any] = {"clock": FakeClock()}
    if kind == POSTGRESQL:
        databases = request.getfixturevalue("handed_on")
        copy = databases.take(name)
        request.addfinalizer(lambda: _give_back(databases, copy))
        changes["database_url"] = databases.cluster.url(copy)
    changes["clock"].time = moment
    world = build("healthy", **changes)
    world.clock.time = SystemClock().now()
    epoch = lease.acquire(holder="here", runtime=world.runtime)
    assert epoch is not None
    runs.take_over(jobs(world.app).values(), world.runtime, epoch=epoch)
    return world


def _give_back(databases: HandedOn, name: str) -> None:
    db.session.remove()
    db.engine.dispose()
    databases.give_back(name)


def _play(build: Build, request: pytest.FixtureRequest) -> tuple[Path, str, datetime]:
    clock = FakeClock()
    clock.time = SystemClock().now() - timedelta(minutes=8)
    world = build("played", clock=clock)
    world.omniadmin()
    world.user(world.instance("acme", "Acme Logistics"), "member@acme.example")
    world.instance("birch")
    world.instance("cedar")
    ada = world.signed_in()
    cedar = world.enter(ada, "cedar")
    ada.get(f"{CONSOLE}/access/{cedar.public_id}")
    ada.post(f"{CONSOLE}/access/{cedar.public_id}/end")
    world.enter(ada, "acme")
    world.ask(ada, "birch")
    db.session.remove()
    name = db.engine.url.database or ""
    db.engine.dispose()
    folder = request.getfixturevalue("tmp_path_factory").mktemp("healthy") / "data"
    shutil.copytree(world.runtime.settings.data, folder)
    if world.runtime.settings.database_url:
        name = request.getfixturevalue("cluster").new_database(name)
    return folder, name, clock.now()


def doctor(world: World, *more: str, **environment: str) -> Result:
    """Run the command on a world's folder and database, as a process of its own would."""
    db.session.remove()
    settings = world.runtime.settings
    known = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": KEYS[0]}
    if settings.database_url:
        known["TEMPADMIN_DATABASE_URL"] = settings.database_url
    command = ["doctor", "--data", str(settings.data), *more]
    return CliRunner(env=known | environment).invoke(build_command(command), command)


def diagnose(world: World, **environment: str) -> Diagnosis:
    """What it says, by check."""
    result = doctor(world, "--json", **environment)
    assert isinstance(result.exception, SystemExit | None), result.output
    found: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(result.stdout):
        line = row["message"] + (f" – {row['advice']}" if row["advice"] else "")
        found.setdefault(row["check"], []).append((row["level"], line))
    return Diagnosis(result.exit_code, found)
