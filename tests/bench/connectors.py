"""How long it takes to make an account, let somebody in and remove it again, by every connector that there is.

``python -m tests.bench.connectors`` measures this alone. Where OpenBao's ``bao`` is on the PATH (or in ``OPENBAO``), it
issues and revokes dynamic roles on the same PostgreSQL server by the same role meanwhile, turn by turn with ours: one
that keeps its leases in memory, to compare with what we do to the role alone, and one that keeps them on disk.
"""

from __future__ import annotations

import atexit
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from instances.connectors.base import Account
from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.settings import Settings
from tests import postgresql
from tests.bench import openbao, server
from tests.instances import postgresql_directory
from tests.instances.conftest import maker_of_temporary_administrators
from tests.instances.directories import DIRECTORIES, Directory
from tests.world import World, make_world

ROUNDS, BEFORE = 50, 5
DRILL, ROLES, SECRET = "drill", "postgresql", "pKx7-mV4w-Rt9z-Hc3n-Yq6d"
Figures = dict[str, float]
Times = defaultdict[str, list[float]]


def measure(kind: str) -> Figures:
    """Measure with our own accounts in one kind of database."""
    postgresql_directory.SERVER |= {"fsync": "on", "log_statement": "none"}
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
        values: dict[str, Any] = server.settings_for(Path(folder), 8000, url)
        server.prepare(Settings(**values), operators=1)
        world = make_world(Path(folder), **{**values, "secret_keys": (values["secret_keys"],)})
        only_warnings()
        with world.app.app_context(), _ended_after():
            for name in sorted(set(DIRECTORIES) - {DRILL}):
                directory = _directory(world, name)
                if directory is not None:
                    figures |= _one(name, directory, world)
    return figures


def _directory(world: World, name: str) -> Directory | None:
    """Make a directory for an instance of its own; ``None`` where its server or its library is not installed."""
    instance = world.instance(f"b-{name}")
    try:
        return DIRECTORIES[name](world, instance, maker_of_temporary_administrators(world))
    except (ImportError, pytest.skip.Exception):
        return None


@contextmanager
def _ended_after() -> Iterator[None]:
    atexit.register(postgresql.until_the_end.close)  # the servers serve the next measurement, too
    try:
        yield
    finally:
        db.session.remove()
        db.engine.dispose()


def _one(name: str, directory: Directory, world: World) -> Figures:
    times, until = Times(list), world.clock.now() + timedelta(hours=1)
    connector = directory.connector
    with ExitStack() as stack:
        rivals = {}
        if name == ROLES:
            for kind in openbao.KINDS if openbao.program() else ():
                rivals[f"OpenBao {kind}"] = stack.enter_context(openbao.serving(kind))
        for number in range(BEFORE + ROUNDS):
            account = directory.reserve(1000 + number)
            here = times if number >= BEFORE else Times(list)
            with _timed(here["made"]):
                connector.create(account, still_wanted=lambda: None)
            with _timed(here["let in"]):
                connector.activate(account, secret=SECRET, until=until, still_wanted=lambda: None)
            with _timed(here["removed"]):
                connector.remove(account)
            if rivals:
                _the_role_alone(connector, account, until, here)
            for label, ask in rivals.items():
                with _timed(here[f"{label}: issued"]):
                    lease = ask("GET", "database/creds/support", None)["lease_id"]
                with _timed(here[f"{label}: revoked"]):
                    ask("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})
    median = {step: statistics.median(spent) for step, spent in times.items()}
    figures = {f"{name}: {step}, ms": value for step, value in median.items()}
    pace = {"": sum(median[step] for step in ("made", "let in", "removed"))}
    for label in ("the role alone", *rivals) if rivals else ():
        pace[f" {label}:"] = sum(value for step, value in median.items() if step.startswith(f"{label}:"))
    return figures | {f"{name}:{label} accounts per second": 1000 / spent for label, spent in pace.items()}


def _the_role_alone(connector: Any, account: Account, until: datetime, here: Times) -> None:
    """Do what OpenBao does, looked at before and after: without what we keep of an account, which OpenBao does not."""
    with connector.reach(account.instance_id) as roles:
        with _timed(here["the role alone: made and let in"]):
            assert not roles.find(account)
            roles.add(account)
            (entry,) = roles.find(account)
            roles.empower(account, entry)
            roles.enable(account, entry, secret=SECRET, until=until)
        with _timed(here["the role alone: removed"]):
            (entry,) = roles.find(account)
            roles.disable(account, entry)
            roles.delete(account, entry)
            assert not roles.find(account)


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun) * 1000)


if __name__ == "__main__":
    for one in sys.argv[1:] or ["sqlite", "postgresql"]:
        for label, figure in measure(one).items():
            sys.stdout.write(f"{one:<12} {label:<52} {figure:.2f}\n")
