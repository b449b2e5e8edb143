"""A real `tempadmin serve`, left to itself: what is over goes within 30 s, also when it was killed in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench.client import Client
from tests.bench.steps import walk_in
from tests.tickets.servers import Server, wait_for

WITHIN_SECONDS = 30


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; all are stopped at the end."""
    started: list[Server] = []

    def serve(**settings: Any) -> Server:
        started.append(Server(tmp_path / "data", mail_url="none", **settings))
        started[-1].start()
        return started[-1]

    yield serve
    for server in started:
        server.stop()


@contextmanager
def entered(server: Server, duration: str) -> Iterator[Client]:
    with closing(Client(server.port, {"tempadmin_session": server.cookies[0]})) as client:
        walk_in(client, port=server.port, duration=duration)
        yield client


def test_at_the_time_limit_pages_refuse_and_the_account_goes_within_30_s(serving: Callable[..., Server]) -> None:
    """Nobody logs out, nobody calls a job: the embedded scheduler ends and removes it."""
    server = serving(default_duration="2", max_duration="2")
    with entered(server, "2") as client:
        assert server.accounts() == 1
        assert wait_for(server.nothing_is_left, 2 + WITHIN_SECONDS) > 0
        assert client.send("GET", f"http://acme.localhost:{server.port}/users").endswith("/login")


def test_at_the_idle_limit_the_account_goes_within_30_s(serving: Callable[..., Server]) -> None:
    """Without a click for the idle limit the access is over."""
    server = serving(idle_timeout="2")
    with entered(server, "3600"):
        wait_for(server.nothing_is_left, 2 + WITHIN_SECONDS)


def test_p1_a_server_that_was_killed_heals_when_it_starts_again(serving: Callable[..., Server]) -> None:
    """Killed while somebody is inside; after the time limit the next start removes the account by itself."""
    server = serving(default_duration="2", max_duration="2")
    with entered(server, "2"):
        server.kill()
    assert server.accounts() == 1
    server.start()
    # The killed leader's lease has to lapse first (20 s).
    wait_for(server.nothing_is_left, 2 + 2 * WITHIN_SECONDS)
