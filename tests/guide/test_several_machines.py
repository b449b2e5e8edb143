"""docs/several-machines.md, followed word for word: what one pastes works, what is unplugged is not missed."""

from __future__ import annotations

import email
import email.policy
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tempadmin.accounts.totp import code_at
from tempadmin.clock import SystemClock
from tests import postgresql
from tests.bench.client import Client
from tests.bench.server import free_port
from tests.guide.pasting import Shell, blocks
from tests.tickets.servers import wait_for
from tests.world import PASSWORD, link_in, plain

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/several-machines.md"
PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -c "from tempadmin.cli import main; main()" "$@"\n'
GONE = "SELECT state, (SELECT count(*) FROM users WHERE kind = 'temporary') FROM access_requests"
REASON = {"reason": "The start page shows an empty banner.", "duration": "3600"}


@pytest.fixture
def ports(cluster: postgresql.Cluster) -> dict[str, str]:
    """The guide's ports, and the free ones that stand for them here."""
    ours = {port: str(free_port()) for port in ("8001", "8002", "8080", "9464", "9465")}
    return {**ours, "5432": str(cluster.port)}


@pytest.fixture
def shell(tmp_path: Path, cluster: postgresql.Cluster) -> Iterator[Shell]:
    """A new user's shell: an empty folder, the program installed, and the right to make databases."""
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("nginx is not installed: apt-get install nginx-light")
        pytest.skip("nginx is not installed")
    program = tmp_path / "bin/tempadmin"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    folder = tmp_path / "site"
    folder.mkdir(mode=0o755)
    path = f"{program.parent}:{os.environ['PATH']}:/usr/sbin"
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": cluster.user}
    opened = Shell(folder, {"PATH": path, "PYTHONPATH": str(ROOT), **server})
    yield opened
    opened.close()
    cluster.drop("tempadmin")
    cluster.run("DROP ROLE IF EXISTS tempadmin")


class Newcomer:
    """Somebody with a browser and an authenticator, who has the link that was printed."""

    def __init__(self, port: str, shell: Shell) -> None:
        self.console, self.acme = f"http://localhost:{port}", f"http://acme.localhost:{port}"
        self.shell, self.client, self.seed = shell, Client(int(port), {}), ""

    def code(self, steps_ago: int = 0) -> str:
        """What the device shows, or showed; not in the last moments of a step, which may be over on arrival."""
        wait_for(lambda: SystemClock().now().timestamp() % 30 < 25, 10)
        now = SystemClock().now()
        return code_at(self.seed, now.fromtimestamp(now.timestamp() - 30 * steps_ago, now.tzinfo))

    def enrol(self) -> None:
        link = re.search(rf"{self.console}/welcome\?key=[\w.-]+", self.shell.said)
        assert link is not None, self.shell.said
        self.client.send("GET", link[0])
        self.seed = re.sub(r"\s", "", self._found(r'id="secret">([A-Z2-7 ]+)<'))
        sealed = self._found(r'name="sealed"[^>]*value="([^"]+)"')
        # A code works once: the one before for this, so that the present one can sign in.
        form = {"password": PASSWORD, "password_again": PASSWORD, "sealed": sealed, "code": self.code(steps_ago=1)}
        self.client.send("POST", link[0], form)

    def sign_in(self) -> None:
        self.client.send("GET", f"{self.console}/login")
        there = self.client.send("POST", f"{self.console}/login", {"email": "you@example.com", "password": PASSWORD})
        assert self.client.send("POST", there, {"code": self.code()}).endswith("/")

    def enter(self) -> None:
        form = f"{self.console}/instances/acme/request-access"
        self.client.send("GET", form)
        self.client.send("POST", form, REASON)
        newest = max((self.shell.folder / "mail").glob("*.eml"))
        mail = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
        confirmation = link_in(plain(mail))
        self.client.send("GET", confirmation)
        self.client.send("POST", confirmation, {"code": self.code()})
        inside = self.client.send("GET", self._found(rf"({self.acme}/login/ticket\?key=[\w.-]+)"))
        assert inside == f"{self.acme}/"

    def leave(self) -> None:
        self.client.send("POST", f"{self.acme}/support-session/leave", {})

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.client.body)
        assert found is not None, self.client.body
        return found[1]


@pytest.mark.postgresql
@pytest.mark.timeout(400)
def test_p1_p14_the_guide_works_word_for_word(shell: Shell, ports: dict[str, str]) -> None:
    """Two web processes, two schedulers, nginx, PostgreSQL; half of them killed, and a visit from beginning to end."""
    database, settings, first, start, up, nginx, well, web_dies, leader_dies, end = blocks(GUIDE, ports)
    for block in (database, settings, first, start, up, nginx):
        shell.paste(block)
    visitor = Newcomer(ports["8080"], shell)
    with closing(visitor.client):
        visitor.enrol()
        shell.paste(well)
        visitor.sign_in()
        shell.paste("tempadmin doctor --data b")  # all is well now, says the guide
        assert shell.paste(web_dies).count("ready") == 4
        shell.paste(leader_dies)
        visitor.enter()
        visitor.leave()
    url = f"postgresql+psycopg://tempadmin:change-me@127.0.0.1:{ports['5432']}/tempadmin"
    engine = create_engine(url)
    with engine.connect() as connection:
        wait_for(lambda: tuple(connection.execute(text(GONE)).one()) == ("ended", 0), 20)
    engine.dispose()
    logged = (shell.folder / "access.log").read_text()
    assert "/login/ticket" in logged
    assert "key=" not in logged
    shell.paste(end)
