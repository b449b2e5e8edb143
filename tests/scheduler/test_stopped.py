"""A leader that is stopped by the kernel, not by us: it writes nothing afterwards, and keeps nobody waiting."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from instances.models import VirtualInstance
from scheduler import lease
from scheduler.models import JobRun, SchedulerLease
from tempadmin.db import is_outage, transaction
from tempadmin.runtime import current_runtime
from tests.scheduler import stopped
from tests.scheduler.world import FakeClock, fill, make_app, rows, wait_for

ROOT = Path(__file__).parents[2]


@contextmanager
def process(data: Path, log: Path, where: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    words = [str(data), *(f"{name}={value}" for name, value in where.items())]
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.scheduler.stopped", *words], cwd=ROOT, stdin=subprocess.PIPE, stderr=errors
        )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGCONT)
        child.communicate(timeout=30)


def takes_writes(url: str) -> bool:
    """Whether nobody holds the writer's lock of an SQLite file; PostgreSQL's locks are let go in time."""
    if not url.startswith("sqlite"):
        return True
    engine = create_engine(url, connect_args={"timeout": 0.1, "isolation_level": None})
    try:
        with engine.connect() as connection:
            connection.execute(text("BEGIN IMMEDIATE"))
            connection.execute(text("ROLLBACK"))
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def stop_between_writes(child: subprocess.Popen[bytes], url: str) -> Callable[[], bool]:
    def stopped_well() -> bool:
        child.send_signal(signal.SIGSTOP)
        if takes_writes(url):
            return True
        child.send_signal(signal.SIGCONT)
        return False

    return stopped_well


def test_p14_a_leader_stopped_in_the_middle_of_a_job_writes_nothing_when_it_wakes_up_past_its_lease(
    tmp_path: Path, database_url: str | None
) -> None:
    """SIGSTOP, another one leads, SIGCONT: what the first had still to write is refused, and its run is lost."""
    where: dict[str, Any] = {} if database_url is None else {"database_url": database_url}
    app = make_app(tmp_path, **where)
    fill(app)
    url = database_url or f"sqlite:///{tmp_path / 'tempadmin.db'}"
    with process(tmp_path, tmp_path / "first.log", where) as first:
        wait_for((tmp_path / stopped.IN_THE_MIDDLE).exists)
        wait_for(stop_between_writes(first, url))
        with process(tmp_path, tmp_path / "second.log", where) as second:

            def overtaken() -> bool:
                (row,) = rows(app, select(SchedulerLease))
                return int(row.holder.split(":")[-2]) == second.pid

            wait_for(overtaken, seconds=40)
            (tmp_path / stopped.GO_ON).touch()
            first.send_signal(signal.SIGCONT)
            wait_for((tmp_path / stopped.DONE).exists)
            wait_for(lambda: "job.overtaken" in (tmp_path / "first.log").read_text())

            def noted() -> list[JobRun]:
                return [one for one in rows(app, select(JobRun)) if f":{first.pid}:" in one.holder and one.outcome]

            wait_for(lambda: bool(noted()))  # the one who leads does so in a transaction after the one that took over
            (run,) = noted()
            assert (run.outcome, run.detail) == ("lost", "its process ended before it did")
    written = select(VirtualInstance.web_id).where(~VirtualInstance.is_default)
    assert rows(app, written) == [f"before-{first.pid}"]


@pytest.mark.only_postgresql
def test_p14_a_leader_stopped_with_the_lease_in_its_hand_is_overtaken_all_the_same(
    tmp_path: Path, database_url: str
) -> None:
    """PostgreSQL ends its transaction after five seconds, so the row is free long before thirty."""
    clock = FakeClock()
    app = make_app(tmp_path, clock, database_url=database_url)
    taken: list[float] = []

    def take_over() -> None:
        begun = time.monotonic()
        with app.app_context():
            runtime = current_runtime()

            def took() -> bool:
                try:
                    return lease.acquire(holder="second", runtime=runtime) is not None
                except OperationalError:  # it waited as long as it may for the row
                    return False

            wait_for(took, seconds=20)
            taken.append(time.monotonic() - begun)

    with app.app_context():
        assert lease.acquire(holder="first", runtime=current_runtime()) == 1
        thread = threading.Thread(target=take_over)

        def stop_in_the_middle() -> None:
            with transaction(as_service=True) as session:
                assert lease.held(1, current_runtime())
                clock.advance(minutes=1)
                thread.start()
                thread.join(30)
                session.execute(text("SELECT 1"))

        with pytest.raises(SQLAlchemyError) as ended:
            stop_in_the_middle()
        assert is_outage(ended.value)
        with transaction(as_service=True):  # the next one has a connection that works
            assert not lease.held(1, current_runtime())
    assert taken
    assert timedelta(seconds=taken[0]) < timedelta(seconds=15)
