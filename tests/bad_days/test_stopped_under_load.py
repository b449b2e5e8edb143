"""SIGTERM under load: what was begun is finished and answered whole, the job too, and the lease is given back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tempadmin.clock import SystemClock, steady_seconds
from tests.bad_days import slowly
from tests.bad_days.crowd import CUT, UNANSWERED, Crowd
from tests.bad_days.holding import everybody_waits
from tests.tickets.servers import PROGRAM, START_SECONDS, Server, wait_for

GRACE_SECONDS = 20


@pytest.fixture
def server(tmp_path: Path, database_url: str | None) -> Iterator[Server]:
    """Two workers with four threads each, eight operators, and a job that is nearly always at work."""
    where = {} if database_url is None else {"database_url": database_url}
    made = Server(tmp_path / "data", operators=8, workers="2", mail_url="none", rate_limits="off", **where)
    made.environment["PYTHONPATH"] = str(Path(slowly.__file__).parent)
    made.environment["TEMPADMIN_MODULES"] = "instances,scheduler,tickets,slowly"
    yield made
    made.stop()


def start(server: Server) -> None:
    with (server.folder / "log").open("wb") as log:
        command = [*PROGRAM, "serve", "--port", str(server.port)]
        server.process = subprocess.Popen(command, env=server.environment, stderr=log, start_new_session=True)
    wait_for(server.answers, START_SECONDS)


def is_closed(port: int) -> bool:
    """Whether nobody takes connections any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def handled(server: Server) -> Counter[tuple[str, str, int]]:
    """What the server says that it answered."""
    lines = [json.loads(line) for line in (server.folder / "log").read_text().splitlines() if line.startswith("{")]
    return Counter((one["method"], one["path"], one["status"]) for one in lines if one["event"] == "request")


def test_p1_a_stop_under_load_cuts_nothing(server: Server) -> None:
    """Eight forms at work when the signal comes: all are answered whole, newcomers are refused, the process is gone."""
    start(server)
    crowd = Crowd(server.port, server.cookies)
    crowd.start()
    assert server.process is not None
    notes = server.folder / slowly.FILE
    wait_for(notes.exists, START_SECONDS)
    with everybody_waits(server):
        wait_for(crowd.are_at_work, START_SECONDS)
        begun = steady_seconds()
        os.kill(server.process.pid, signal.SIGTERM)
        wait_for(lambda: is_closed(server.port), GRACE_SECONDS / 2)
    assert server.process.wait(GRACE_SECONDS) == 0
    assert steady_seconds() - begun < GRACE_SECONDS
    crowd.join()
    assert crowd.failed[CUT] == 0
    assert crowd.failed[UNANSWERED] == 0
    assert handled(server) == crowd.answered
    assert {status for _, _, status in crowd.answered} <= {200, 303, 503}, "who waits for the lock too long is told so"
    asked = ("POST", "/instances/acme/request-access", 303)
    assert len(server.states()) == crowd.answered[asked]
    assert notes.read_text().count("began") == notes.read_text().count("ended") > 0
    (lease,) = server.rows("SELECT expires_at FROM scheduler_leases")
    given_back = datetime.fromisoformat(str(lease.expires_at))  # SQLite's has no zone, and is in UTC
    given_back = given_back if given_back.tzinfo else given_back.replace(tzinfo=UTC)
    assert given_back <= SystemClock().now(), "the lease was left to lapse"
