"""docs/several-machines.md, followed word for word: what one pastes works, what is unplugged is not missed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests import postgresql
from tests.bench.server import free_port
from tests.guide.newcomer import Newcomer
from tests.guide.pasting import Shell, blocks
from tests.tickets.servers import wait_for

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/several-machines.md"
PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -c "from tempadmin.cli import main; main()" "$@"\n'
GONE = "SELECT state, (SELECT count(*) FROM users WHERE kind = 'temporary') FROM access_requests"


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


@pytest.mark.postgresql
@pytest.mark.timeout(400)
def test_p1_p14_the_guide_works_word_for_word(shell: Shell, ports: dict[str, str]) -> None:
    """Two web processes, two schedulers, nginx, PostgreSQL; half of them killed, and a visit from beginning to end."""
    database, settings, first, start, up, nginx, well, web_dies, leader_dies, end = blocks(GUIDE, ports)
    for block in (database, settings, first, start, up, nginx):
        shell.paste(block)
    with Newcomer(ports["8080"], shell) as visitor:
        visitor.enrol()
        shell.paste(well)
        visitor.sign_in()
        shell.paste("tempadmin doctor --data b")  # all is well now, says the guide
        assert shell.paste(web_dies).count("ready") == 4
        shell.paste(leader_dies)
        assert visitor.enter("acme") == f"http://acme.localhost:{ports['8080']}/"
        visitor.post("/support-session/leave")
    url = f"postgresql+psycopg://tempadmin:change-me@127.0.0.1:{ports['5432']}/tempadmin"
    engine = create_engine(url)
    with engine.connect() as connection:
        wait_for(lambda: tuple(connection.execute(text(GONE)).one()) == ("ended", 0), 20)
    engine.dispose()
    logged = (shell.folder / "access.log").read_text()
    assert "/login/ticket" in logged
    assert "key=" not in logged
    shell.paste(end)
