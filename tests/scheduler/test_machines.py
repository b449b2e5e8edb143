"""Two machines on one SQLite file are noticed by the host's name in the lease, and refused; PostgreSQL is for many."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from structlog.testing import capture_logs

from scheduler import lease, machines
from scheduler.doctor import beat
from scheduler.process import SchedulerProcess
from tempadmin.doctor.findings import Level
from tempadmin.runtime import current_runtime
from tempadmin.settings import SettingsError
from tests.scheduler.world import FakeClock, fill, make_app, wait_for
from tests.tickets.servers import Server

SECOND = timedelta(seconds=1)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """By the machine's clock."""
    made = make_app(tmp_path)
    fill(made)
    return made


@contextmanager
def leads_elsewhere(app: Flask, *, lasts: timedelta = lease.LEASE) -> Iterator[None]:
    """Another machine has the lease, and renews it all the time."""
    enough = threading.Event()

    def lead() -> None:
        with app.app_context():
            runtime = current_runtime()
            while not enough.wait(0.1):
                lease.renew(holder="other:1:a", epoch=1, runtime=runtime, lasts=lasts)

    with app.app_context():
        assert lease.acquire(holder="other:1:a", host="other", runtime=current_runtime(), lasts=lasts) == 1
    thread = threading.Thread(target=lead)
    thread.start()
    yield
    enough.set()
    thread.join(20)


def refuse(app: Flask) -> float:
    """Look before a start; return how long that took, in seconds."""
    begun = time.monotonic()
    with app.app_context():
        machines.refuse_a_second(current_runtime())
    return time.monotonic() - begun


@pytest.mark.timeout(60)
def test_a_machine_that_is_at_work_elsewhere_is_named_and_we_do_not_start(app: Flask) -> None:
    """The lease was renewed while we looked: whoever did that is alive."""
    with leads_elsewhere(app), pytest.raises(SettingsError, match=r"other works on this SQLite file.*PostgreSQL"):
        refuse(app)


def test_a_machine_that_is_gone_is_waited_for_no_longer_than_its_lease(app: Flask) -> None:
    """A folder that moved to another machine, a container with a new name: it starts when the old lease is over."""
    with app.app_context():
        assert lease.acquire(holder="other:1:a", host="other", runtime=current_runtime(), lasts=SECOND)
    with capture_logs() as logs:
        assert 0.3 < refuse(app) < 10
    assert [line["leads"] for line in logs] == ["other"]


def test_processes_of_one_machine_may_be_many(app: Flask) -> None:
    """A worker that leads here keeps no other process of this machine from starting."""
    with app.app_context():
        assert lease.acquire(holder="mine", runtime=current_runtime())
        assert machines.other_host(current_runtime()) is None
    assert refuse(app) < 5


@pytest.mark.only_postgresql
def test_on_postgresql_there_may_be_many_machines(tmp_path: Path, database_url: str) -> None:
    """Who leads elsewhere is no stranger there."""
    app = make_app(tmp_path, database_url=database_url)
    with app.app_context():
        assert lease.acquire(holder="other:1:a", host="other", runtime=current_runtime())
        assert machines.other_host(current_runtime()) is None
    assert refuse(app) < 5


def test_who_meets_another_machine_later_says_so_once_a_minute(app: Flask) -> None:
    """Two that started at the same moment: the one that follows complains, and does nothing."""
    with leads_elsewhere(app), capture_logs() as logs:
        one = SchedulerProcess(app, renew_every=timedelta(milliseconds=50), host="here")
        one.start()
        wait_for(lambda: any(line["event"] == "scheduler.two_machines" for line in logs))
        beaten = len(logs)
        threading.Event().wait(0.5)  # ten more heartbeats
        one.stop()
    said = [line for line in logs if line["event"] == "scheduler.two_machines"]
    assert [(line["host"], line["leads"], line["log_level"]) for line in said] == [("here", "other", "error")]
    assert beaten <= len(logs)
    assert not one.leads


def test_doctor_names_the_other_machine(tmp_path: Path) -> None:
    """An error, with what to do."""
    app = make_app(tmp_path, FakeClock())
    fill(app)
    with app.app_context():
        assert lease.acquire(holder="other:1:a", host="other", runtime=current_runtime())
        (finding,) = beat(current_runtime())
    assert finding.level is Level.ERROR
    assert finding.message.startswith("other leads on this SQLite file")
    assert finding.advice == machines.ADVICE


@pytest.mark.parametrize("words", [["serve"], ["scheduler", "run"]])
def test_the_program_refuses_to_be_the_second_machine(tmp_path: Path, words: list[str]) -> None:
    """Exit code 2 and one line, before anybody is served and any job begins."""
    server = Server(tmp_path / "data", operators=0)
    app = make_app(tmp_path / "data")
    with leads_elsewhere(app):
        ended = server.command(*words)
    server.stop()
    assert ended.returncode == 2, ended.stderr
    assert "error: database_url: other works on this SQLite file, too." in ended.stderr
    assert '"scheduler.started"' not in ended.stderr
