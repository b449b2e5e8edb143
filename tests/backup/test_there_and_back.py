"""A real service is copied, goes on, is stopped and restored: nothing that ended since the copy lives again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.client import Client
from tests.bench.steps import leave, walk_in
from tests.tickets.servers import Server, wait_for

WITHIN_SECONDS = 60


@dataclass
class Service:
    """A server, where its copy lies, and the two ways to restore it: as the guide says, or without a word."""

    server: Server
    copy: Path

    @property
    def address(self) -> str:
        return self.server.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def on_postgresql(self) -> bool:
        return self.server.engine.dialect.name == "postgresql"

    def save(self) -> str:
        if self.on_postgresql:
            run("pg_dump", "--format=custom", f"--file={self.copy}", self.address)
            return ""
        return said(self.server, "backup", str(self.copy))

    def bring_back(self, *, by_the_book: bool) -> str:
        self.server.engine.dispose()
        if self.on_postgresql:
            options = ["--clean", "--if-exists", "--single-transaction", f"--dbname={self.address}"]
            run("pg_restore", *options, str(self.copy))
            return said(self.server, "db", "restored") if by_the_book else ""
        if by_the_book:
            return said(self.server, "restore", str(self.copy))
        shutil.copy(self.copy, self.server.folder / "tempadmin.db")
        return ""

    def events(self, name: str) -> int:
        found = self.server.rows("SELECT count(*) AS n FROM audit_events WHERE event = :name", name=name)
        return int(found[0].n)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def said(server: Server, *words: str) -> str:
    done = server.command(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def service(tmp_path: Path, database_url: str | None) -> Iterator[Service]:
    """One worker, two operators, no mail; stopped at the end."""
    where = {} if database_url is None else {"database_url": database_url}
    server = Server(tmp_path / "data", operators=2, mail_url="none", **where)
    server.start()
    yield Service(server, tmp_path / "copy")
    server.stop()


def browser(service: Service, operator: int) -> Client:
    return Client(service.server.port, {"tempadmin_session": service.server.cookies[operator]})


def is_served(client: Client, url: str) -> bool:
    return client.send("GET", url) == url


@pytest.mark.parametrize("way", ["by the book", "without a word"])
def test_p3_nothing_that_ended_after_a_backup_lives_again(service: Service, way: str) -> None:
    """Somebody was inside when the copy was made, and left since: old cookies open nothing, and the account goes."""
    server = service.server
    inside = f"http://acme.localhost:{server.port}/users"
    with closing(browser(service, 0)) as ada, closing(browser(service, 1)) as ben:
        walk_in(ada, port=server.port)
        service.save()
        leave(ada, port=server.port)
        wait_for(server.nothing_is_left, WITHIN_SECONDS)
        walk_in(ben, port=server.port)
        server.stop()
        told = service.bring_back(by_the_book=way == "by the book")
        if told:
            assert "accesses 1" in told
            assert "To be removed: liferay_online_" in told
        server.start()
        assert service.events("database.restored") > 0
        for client in (ada, ben):
            client.close()
            assert not is_served(client, inside)
        wait_for(server.nothing_is_left, WITHIN_SECONDS)
        assert {row.end_reason for row in server.rows("SELECT end_reason FROM access_requests")} == {"restored"}
        assert server.complaints() == []
        assert server.command("doctor", "--invariants").returncode == 0
