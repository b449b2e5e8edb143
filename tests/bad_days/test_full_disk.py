"""A disk that fills up under a real service: 503, nothing half done, and all goes on when there is room again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.bad_days.conftest import FILLED, Disk
from tests.bad_days.crowd import Person
from tests.bench.client import Client
from tests.bench.steps import leave, walk_in
from tests.tickets.servers import Server, wait_for

ENOUGH = 300
LARGE = "😀" * 2_000
WITHIN_SECONDS = 60


@pytest.fixture
def server(disk: Disk) -> Iterator[Server]:
    """One worker, two operators; mails are files on the same disk."""
    made = Server(disk.folder, operators=2, rate_limits="off", confirm_by_mail="false")
    made.start()
    yield made
    made.stop()


def ask(ben: Person) -> tuple[int, str]:
    """Ask with as long a reason as there may be; cancel, so that one can ask again."""
    page = ben.send("GET", "/instances/acme/request-access")
    assert page is not None
    if page[0] != 200:
        return page
    asked = ben.send("POST", "/instances/acme/request-access", ben.form(page[1], reason=LARGE))
    assert asked is not None
    if asked[0] == 303:
        cancelled = ben.send("POST", asked[1] + "/cancel", ben.form(page[1]))
        assert cancelled is not None
        return cancelled
    return asked


def test_s02_a_full_disk_is_503_and_goes_on_when_there_is_room(server: Server, disk: Disk) -> None:
    """Somebody is inside meanwhile: they can leave when there is room, and the account goes; the record is whole."""
    ben = Person(server.port, server.cookies[1], keeps_alive=False)
    with closing(Client(server.port, {"tempadmin_session": server.cookies[0]})) as ada:
        walk_in(ada, port=server.port)
        disk.fill(server)
        status, body = next(answer for answer in (ask(ben) for _ in range(ENOUGH)) if answer[0] >= 400)
        assert status == 503, body
        assert "try again in a few seconds" in body
        assert "Traceback" not in body
        before = server.rows("SELECT count(*) AS n FROM audit_events")[0].n
        assert ask(ben)[0] == 503
        assert server.rows("SELECT count(*) AS n FROM audit_events")[0].n == before
        assert server.answers(), "it is alive all the while"
        if (disk.folder / FILLED).exists():
            copied = server.command("backup", str(disk.folder / "copy.db"))
            assert (copied.returncode, "Traceback" in copied.stderr) == (1, False), copied.stderr
            assert list(disk.folder.glob("copy.db*")) == []
        disk.empty(server)
        leave(ada, port=server.port)
    wait_for(server.nothing_is_left, WITHIN_SECONDS)
    assert ask(ben)[0] == 303
    wait_for(server.nothing_is_left, WITHIN_SECONDS)
    assert server.complaints() == []
