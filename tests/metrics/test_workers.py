"""Several workers, one truth: what each counted is added up, also of those that are gone."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from tempadmin.metrics.workers import MERGING
from tests.metrics.scraping import Scrape, parsed
from tests.tickets.servers import Server, wait_for

pytestmark = pytest.mark.only_sqlite  # which database there is makes no difference to the workers' files
SECONDS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Server(tmp_path / "data", workers="2", scheduler="external", metrics_listen=f"127.0.0.1:{port}")
    made.start()
    yield made
    made.stop()


def scraped(server: Server) -> Scrape:
    with urlopen(f"http://{server.environment['TEMPADMIN_METRICS_LISTEN']}/metrics", timeout=10) as answer:
        return parsed(answer.read().decode())


def asked(server: Server, times: int) -> None:
    for _ in range(times):
        with urlopen(f"http://localhost:{server.port}/login", timeout=10) as answer:
            answer.read()


def counted(server: Server) -> float:
    labels = {"route": "accounts.sign_in_page", "method": "GET", "status": "2xx"}
    return scraped(server).value("tempadmin_http_request_duration_seconds_count", **labels)


def workers(server: Server) -> list[int]:
    """The processes that the master forked."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(one) for one in children.read_text().split()]


def test_what_workers_counted_outlives_them(server: Server) -> None:
    """Thirty answers by two workers are thirty, whoever is asked; after a SIGKILL of both, too; no files pile up."""
    asked(server, 30)
    assert counted(server) == 30
    (folder,) = [one for one in (server.folder / "metrics").iterdir() if one.is_dir()]
    before = workers(server)
    for one in before:
        os.kill(one, signal.SIGKILL)
    wait_for(lambda: len(set(workers(server)) - set(before)) == 2 and server.answers(), SECONDS)
    wait_for(lambda: not [file for one in before for file in folder.glob(f"*_{one}.db")], SECONDS)
    assert counted(server) == 30
    asked(server, 5)
    assert counted(server) == 35


def test_the_master_waits_for_no_scrape(server: Server) -> None:
    """A worker that was stopped while it read the files keeps nobody from being replaced; nothing is lost either."""
    asked(server, 10)
    (folder,) = [one for one in (server.folder / "metrics").iterdir() if one.is_dir()]
    first, second = workers(server)
    with (folder / MERGING).open("a") as reading:
        fcntl.flock(reading, fcntl.LOCK_SH)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: first not in workers(server) and len(workers(server)) == 2, SECONDS)
        assert counted(server) == 10
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: not [file for one in (first, second) for file in folder.glob(f"*_{one}.db")], SECONDS)
    wait_for(server.answers, SECONDS)
    assert counted(server) == 10


def test_a_server_that_starts_clears_up_after_the_dead_alone(server: Server) -> None:
    """Its counters begin at nothing; the folder of one that was killed is gone, of one that lives it stays."""
    asked(server, 3)
    top = server.folder / "metrics"
    (first,) = [one for one in top.iterdir() if one.is_dir()]
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    second = Server.__new__(Server)
    second.__dict__ = {**server.__dict__, "port": port, "process": None}
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    second.environment = {**server.environment, "TEMPADMIN_METRICS_LISTEN": listen}
    second.start()
    try:
        assert first.exists()
        asked(second, 1)
        assert (counted(second), counted(server)) == (1, 3)
    finally:
        second.kill()
    server.stop()
    server.start()
    assert not first.exists()
    assert len([one for one in top.iterdir() if one.is_dir()]) == 1
    asked(server, 1)
    assert counted(server) == 1
