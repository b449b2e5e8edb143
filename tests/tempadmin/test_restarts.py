"""PostgreSQL is restarted, and crashes, under a real server at work: 503 meanwhile, all well after, nothing lost."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests import postgresql
from tests.scheduler.world import wait_for
from tests.tickets.killed import Person
from tests.tickets.servers import START_SECONDS, Server

CLIENTS = 4
LONGEST_SECONDS = 30
"""No answer takes longer, come what may."""
MOST_ASKED = 45
"""An operator may ask for one instance fifty times a day."""


@dataclass
class Worker:
    """One operator who asks for access and ends it, over and over, and what they were answered."""

    server: Server
    number: int
    person: Person = field(init=False)
    is_open: bool = False
    asked: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.person = _Watched(self.server, self.number, self)

    def work(self) -> None:
        with suppress(OSError):
            while not self.enough.wait(0.1):
                with suppress(RuntimeError):  # an answer of 400 and more, which was looked at
                    self.once()
        self.person.close()

    def once(self) -> None:
        """Look at a page; end what is open, or ask. Each of it counts once it was acknowledged."""
        self.person.send("GET", self.person.console + "/access")
        still_open = re.search(r'href="/access/([\w-]{8,40})"', self.person.body) if self.is_open else None
        if still_open is not None:
            page = f"{self.person.console}/access/{still_open[1]}"
            self.person.send("GET", page)
            self.person.send("POST", page + "/end", {})
            self.ended.append(still_open[1])
            self.is_open = False
        elif len(self.asked) < MOST_ASKED:
            form = self.person.console + "/instances/acme/request-access"
            self.person.send("GET", form)
            self.is_open = True  # also when no answer comes
            if 'name="reason"' not in self.person.body:
                return  # something of theirs is open, although no answer told them
            at = self.person.send("POST", form, {"reason": "The database is restarted.", "duration": "3600"})
            self.asked.append(at.rpartition("/")[2])

    def saw(self, status: int, times: int = 1) -> bool:
        """Whether an answer of this status came since the last look."""
        return self.statuses.count(status) >= times


class _Watched(Person):
    def __init__(self, server: Server, number: int, worker: Worker) -> None:
        super().__init__(server, number)
        self.connection.timeout = 2 * LONGEST_SECONDS
        self._worker = worker

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> HTTPResponse:
        begun = time.monotonic()
        answer = super().ask(method, path, body, headers)
        took, worker = time.monotonic() - begun, self._worker
        worker.statuses.append(answer.status)
        if took > LONGEST_SECONDS:
            worker.wrong.append(f"{method} {path} took {took:.1f} s")
        if answer.status == 503 and answer.headers["Retry-After"] is None:
            worker.wrong.append(f"{method} {path} does not say when to try again")
        if answer.status >= 400 and answer.status not in (409, 503):
            worker.wrong.append(f"{method} {path}: {answer.status}")
        return answer


@pytest.fixture
def cluster() -> Iterator[postgresql.RunningCluster]:
    """One of the test's own: no other test's connections are cut."""
    with postgresql.cluster() as running:
        yield running


@pytest.mark.only_postgresql
def test_a_restart_and_a_crash_of_postgresql_are_survived_without_a_restart_of_ours(
    tmp_path: Path, database: str, cluster: postgresql.RunningCluster
) -> None:
    """In flight 503 with Retry-After, never 500 and no end to wait for; then 200; what was acknowledged is there."""
    url = cluster.url(cluster.new_database())
    server = Server(tmp_path / "data", operators=CLIENTS, database_url=url, rate_limits="off", mail_url="none")
    server.start()
    workers = [Worker(server, number) for number in range(CLIENTS)]
    threads = [threading.Thread(target=worker.work) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for how in (signal.SIGINT, signal.SIGQUIT):
            _forget(workers)
            wait_for(lambda: all(worker.saw(200, 3) for worker in workers), seconds=START_SECONDS)
            cluster.halt(how)
            _forget(workers)
            wait_for(lambda: all(worker.saw(503) for worker in workers), seconds=2 * LONGEST_SECONDS)
            cluster.start()
        _forget(workers)
        wait_for(lambda: all(worker.saw(200, 5) for worker in workers), seconds=START_SECONDS)
        last = server.rows("SELECT coalesce(max(id), 0) AS id FROM job_runs")[0].id
        runs = "SELECT id FROM job_runs WHERE id > :last AND outcome = 'done'"
        wait_for(lambda: server.rows(runs, last=last), seconds=2 * LONGEST_SECONDS)
    finally:
        for worker in workers:
            worker.enough.set()
        for thread in threads:
            thread.join(2 * LONGEST_SECONDS)
    try:
        assert [worker.wrong for worker in workers] == [[]] * CLIENTS
        states = {row.public_id: row.state for row in server.rows("SELECT public_id, state FROM access_requests")}
        assert [one for worker in workers for one in worker.asked if one not in states] == []
        over = ("ending", "ended")
        assert [one for worker in workers for one in worker.ended if states[one] not in over] == []
        assert sum(len(worker.ended) for worker in workers) > CLIENTS
        assert server.complaints() == []
    finally:
        server.stop()


def _forget(workers: list[Worker]) -> None:
    for worker in workers:
        worker.statuses.clear()
