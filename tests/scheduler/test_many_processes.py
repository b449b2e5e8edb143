"""P14 with the program itself: four workers and two schedulers, each of which could run jobs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tempadmin.settings import Settings
from tests.bench.server import prepare
from tests.scheduler import ticking
from tests.scheduler.world import wait_for

PROGRAM = [sys.executable, "-c", "from tempadmin.cli import main; main()"]
CANDIDATES = 6


class Processes:
    """Commands of the program on one database; what they log, and which due times they ran."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir()
        self.folder, self.children = folder, list[subprocess.Popen[bytes]]()
        values = {"data": str(folder), "base_url": "http://localhost:8000", "secret_keys": "k" * 40, **settings}
        prepare(Settings(**values), operators=1)  # type: ignore[arg-type]
        values |= {"modules": "instances,scheduler,tickets,ticking", "workers": "4", "mail_url": "none"}
        variables = {f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}
        self.environment = {**os.environ, **variables, "PYTHONPATH": str(Path(ticking.__file__).parent)}

    def start(self, *words: str) -> None:
        with (self.folder / f"{len(self.children)}.log").open("wb") as log:
            self.children.append(subprocess.Popen([*PROGRAM, *words], env=self.environment, stderr=log))

    def stop(self) -> None:
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(30)

    def holders(self, event: str) -> list[str]:
        """Who logged an event of the scheduler."""
        lines = [
            line for log in self.folder.glob("*.log") for line in log.read_text().splitlines() if f'"{event}"' in line
        ]
        return [json.loads(line)["holder"] for line in lines]

    def ticks(self) -> list[tuple[datetime, str]]:
        """Due times and who ran them, in the order in which they were run."""
        path = self.folder / ticking.FILE
        lines = [line.rpartition(" ") for line in path.read_text().splitlines()] if path.exists() else []
        return [(datetime.fromisoformat(due_at), pid) for due_at, _, pid in lines]


@pytest.fixture
def processes(tmp_path: Path, database_url: str | None) -> Iterator[Processes]:
    where = {} if database_url is None else {"database_url": database_url}
    made = Processes(tmp_path / "data", **where)
    yield made
    made.stop()


def test_p14_four_workers_and_two_schedulers_run_each_due_time_once(processes: Processes) -> None:
    """All six want to; one does, for each due time once."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes.start("serve", "--port", port)
    processes.start("scheduler", "run")
    processes.start("scheduler", "run")
    wait_for(lambda: len(processes.holders("scheduler.started")) == CANDIDATES, seconds=40)
    before = len(processes.ticks())
    wait_for(lambda: len(processes.ticks()) >= before + 3)  # two whole due times at least, with all six there
    due_times = [due_at for due_at, _ in processes.ticks()]
    assert due_times == sorted(set(due_times))
    assert {due_at.microsecond for due_at in due_times} == {0}
    (leader,) = processes.holders("scheduler.leads")
    assert {pid for _, pid in processes.ticks()} == {leader.split(":")[-2]}
