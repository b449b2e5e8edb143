"""Real processes on one database: killed ones are followed, and told to stop they go in an orderly way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler import queries
from scheduler.models import SchedulerLease
from tempadmin.clock import SystemClock
from tempadmin.serving import upgrade_database
from tests.scheduler.world import fill, make_app, rows, wait_for

ROOT = Path(__file__).parents[2]
COMMAND = "import click, scheduler.cli as c; group = click.Group(); c.register(group); group()"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    made = make_app(tmp_path)
    with made.app_context():
        upgrade_database()  # a command works on no other schema
    fill(made)
    return made


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Whatever is still alive at the test's end is killed and waited for."""
    with ExitStack() as stack:
        yield stack


def spawn(stack: ExitStack, arguments: list[str], **settings: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **{f"TEMPADMIN_{name.upper()}": value for name, value in settings.items()}}
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    stack.enter_context(child)
    stack.callback(child.kill)
    return child


def leader_pid(app: Flask) -> int:
    """The process that leads; 0 while none does."""
    with app.app_context():
        leader = queries.leader(SystemClock().now())
        return int(leader.holder.split(":")[-2]) if leader else 0


def test_p14_three_processes_run_each_due_time_once_and_survive_a_sigkill(
    tmp_path: Path, processes: ExitStack, database_url: str | None
) -> None:
    """One of three leads; killed without a word, another takes over; no due time is run twice, by anybody."""
    where: dict[str, Any] = {} if database_url is None else {"database_url": database_url}
    app = make_app(tmp_path, **where)
    fill(app)
    command = ["-m", "tests.scheduler.worker", str(tmp_path), *(f"{name}={value}" for name, value in where.items())]
    alive = {child.pid: child for child in [spawn(processes, command) for _ in range(3)]}

    def ticks() -> list[tuple[str, int]]:
        path = tmp_path / "ticks"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(due_at, int(pid)) for due_at, pid in (line.split() for line in lines)]

    wait_for(lambda: len(ticks()) >= 3 and leader_pid(app))
    killed = leader_pid(app)
    assert killed in {pid for _, pid in ticks()}
    alive[killed].send_signal(signal.SIGKILL)
    alive.pop(killed).wait()
    before = len(ticks())
    wait_for(lambda: len(ticks()) >= before + 3)
    assert {pid for _, pid in ticks()[before:]} <= alive.keys()
    for child in alive.values():
        child.communicate(timeout=30)
    due_times = [due_at for due_at, _ in ticks()]
    assert len(set(due_times)) == len(due_times)
    assert all(due_at.endswith(".000000") for due_at in due_times)
    (row,) = rows(app, select(SchedulerLease))
    assert row.epoch >= 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_runs_until_it_is_told_to_stop(
    app: Flask, tmp_path: Path, processes: ExitStack, how: signal.Signals
) -> None:
    """`tempadmin scheduler run` leads, ends with 0 at SIGTERM and Ctrl-C, gives the lease back, and logs to stderr."""
    child = spawn(
        processes,
        ["-c", COMMAND, "scheduler", "run", "--data", str(tmp_path)],
        base_url="http://localhost:8000",
        secret_keys="k" * 40,
        modules="instances,scheduler",
        scheduler="external",
    )
    wait_for(lambda: leader_pid(app) == child.pid)
    for _ in range(3):  # a supervisor may signal the process and its group
        child.send_signal(how)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors.decode()
    assert leader_pid(app) == 0
    assert b'"scheduler.started"' in errors
    assert b'"scheduler.stopped"' in errors
