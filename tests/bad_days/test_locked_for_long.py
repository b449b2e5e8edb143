"""A database that somebody else locks for half a minute, which is longer than a lease lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tempadmin.clock import steady_seconds
from tests.bad_days.crowd import Person
from tests.bad_days.holding import everybody_waits
from tests.bench.client import Client
from tests.bench.steps import walk_in
from tests.tickets.servers import Server, wait_for

LOCKED_SECONDS = 30
LIMIT_SECONDS = 5
SLACK_SECONDS = 5


@pytest.fixture
def server(tmp_path: Path, database_url: str | None) -> Iterator[Server]:
    """One worker, two operators; an access lasts as long as the lock."""
    where = {} if database_url is None else {"database_url": database_url}
    limits = {"default_duration": "10", "max_duration": "10"}
    made = Server(tmp_path / "data", operators=2, mail_url="none", rate_limits="off", **limits, **where)
    made.start()
    yield made
    made.stop()


def test_s05_a_database_locked_for_30_s_is_503_within_the_limit_and_then_all_goes_on(server: Server) -> None:
    """Nobody waits longer than the limit; what ran out meanwhile is removed by the scheduler, which goes on."""
    ben = Person(server.port, server.cookies[1], keeps_alive=False)
    with closing(Client(server.port, {"tempadmin_session": server.cookies[0]})) as ada:
        walk_in(ada, port=server.port, duration="10")
    page = ben.send("GET", "/instances/acme/request-access")
    assert page is not None
    form = ben.form(page[1])
    before = len(server.states())
    with everybody_waits(server):
        until, waits = steady_seconds() + LOCKED_SECONDS, []
        while steady_seconds() < until:
            begun = steady_seconds()
            answer = ben.send("POST", "/instances/acme/request-access", form)
            waits.append(steady_seconds() - begun)
            assert answer is not None
            assert answer[0] == 503
            assert "try again in a few seconds" in answer[1]
            threading.Event().wait(1)  # as a person would
    assert max(waits) < LIMIT_SECONDS + SLACK_SECONDS, waits
    assert len(server.states()) == before
    wait_for(server.nothing_is_left, 40)
    assert [status for status, _ in [ben.send("POST", "/instances/acme/request-access", form) or (0, "")]] == [303]
    assert server.command("audit", "verify").returncode == 0
