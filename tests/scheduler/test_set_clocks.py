"""Clocks that are set while the real program runs (libfaketime): nothing waits for ten minutes, nothing revives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from scheduler.lease import LEASE, RENEW_EVERY
from tests.programs import needed
from tests.scheduler import ticking
from tests.scheduler.world import wait_for
from tests.tickets.killed import Person
from tests.tickets.servers import Server

HERE = Path(ticking.__file__).parent
TEN_MINUTES = 600
LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
SLOW = 60
"""Seconds that a test waits at most on a busy machine; far less than the ten minutes that a clock was set by."""


class SetClock(Server):
    """A server on whose machine somebody sets the wall clock; its steady clock goes on."""

    def __init__(self, folder: Path, **settings: str) -> None:
        modules = "instances,scheduler,tickets,ticking"
        super().__init__(folder, operators=2, rate_limits="off", **settings)
        needed("faketime", "faketime")
        (library,) = Path("/").glob(LIBRARY[1:])
        self.offset = folder / "clock"
        self.environment |= {
            "TEMPADMIN_MODULES": modules,
            "PYTHONPATH": f"{HERE}:{HERE / 'set_clock'}",
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, seconds: int) -> None:
        """Ahead of the real time by so many seconds, within one second."""
        self.offset.write_text(f"{seconds:+d}")

    def ticks(self) -> list[datetime]:
        """The due times of a job of every second, in the order in which they ran."""
        path = self.folder / ticking.FILE
        lines = path.read_text().splitlines() if path.exists() else []
        return [datetime.fromisoformat(line.rpartition(" ")[0]) for line in lines]

    def goes_on(self) -> list[datetime]:
        """Wait until the job has run three times more; return when those were due."""
        before = len(self.ticks())
        wait_for(lambda: len(self.ticks()) >= before + 3, seconds=SLOW)
        return self.ticks()[before:]

    def state_of(self, person: Person) -> Any:
        query = "SELECT state, end_reason FROM access_requests WHERE requester_email = :address"
        return self.rows(query, address=person.address)[-1]


@pytest.fixture
def server(tmp_path: Path, database_url: str | None) -> Iterator[SetClock]:
    made = SetClock(tmp_path / "data", **({} if database_url is None else {"database_url": database_url}))
    yield made
    made.stop()


@pytest.mark.only_sqlite
def test_p1_a_clock_that_is_set_back_and_forward_stops_no_job_and_revives_nothing(server: SetClock) -> None:
    """Ten minutes back, jobs go on; twenty forward, what has lapsed ends and goes; back again, it stays so."""
    server.set_clock(0)
    server.start()
    inside, waiting = Person(server, 0), Person(server, 1)
    inside.request_access()
    inside.confirm()
    inside.enter()
    waiting.request_access()
    server.goes_on()

    server.set_clock(-TEN_MINUTES)
    due = server.goes_on()
    assert due[-1] < due[0] + timedelta(minutes=1)
    assert inside.is_inside()
    assert server.state_of(waiting).state == "awaiting_confirmation"

    server.set_clock(TEN_MINUTES)
    server.goes_on()
    wait_for(lambda: server.state_of(waiting).state == "ended", seconds=SLOW)
    assert server.accounts() == 1
    assert inside.is_inside()

    server.set_clock(0)
    server.goes_on()
    with pytest.raises(RuntimeError, match=r"410|404"):
        waiting.send("GET", waiting.links()[0])
    inside.leave()
    wait_for(server.nothing_is_left, seconds=SLOW)
    assert not inside.is_inside()
    assert server.complaints() == []
    inside.close()
    waiting.close()


@pytest.mark.only_postgresql
@pytest.mark.parametrize("seconds", [-TEN_MINUTES, TEN_MINUTES])
def test_on_postgresql_a_machine_whose_clock_is_wrong_goes_by_the_database_s(server: SetClock, seconds: int) -> None:
    """Tickets, codes, sessions, due times and lease are right all the same; doctor says what is wrong."""
    server.set_clock(seconds)
    server.start()
    person = Person(server, 0)
    due = server.goes_on()
    person.walk()
    wait_for(server.nothing_is_left, seconds=SLOW)
    with server.engine.connect() as connection:
        now = connection.scalar(text("SELECT clock_timestamp()"))
        lapses = connection.scalar(text("SELECT expires_at FROM scheduler_leases"))
        asked = connection.scalar(text("SELECT max(created_at) FROM access_requests"))
    assert abs(now - due[-1]) < timedelta(minutes=1)
    assert now - RENEW_EVERY < lapses < now + LEASE + RENEW_EVERY
    assert timedelta(0) <= now - asked < timedelta(minutes=1)
    lines = {line["check"]: line for line in json.loads(server.command("doctor", "--json").stdout)}
    assert lines["clock"]["level"] == "error"
    assert f"{abs(seconds)}.0 s {'ahead of' if seconds > 0 else 'behind'} the database's" in lines["clock"]["message"]
    assert {lines[name]["level"] for name in ("scheduler", "jobs")} == {"ok"}
    person.close()
