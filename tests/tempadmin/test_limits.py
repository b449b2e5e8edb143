"""The ceiling on changes holds over all machines, and what counts may be away without harm."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from limits import parse
from sqlalchemy import text

from tempadmin.accounts import housekeeping
from tempadmin.db import db, transaction
from tempadmin.web import limits
from tempadmin.web.limit_storage import DatabaseStorage, LimitCounter
from tests.bench.client import Client
from tests.conftest import Build
from tests.programs import needed
from tests.scheduler.world import wait_for
from tests.tickets.servers import PROGRAM, START_SECONDS, Server
from tests.world import World

CEILING = parse(limits.CHANGES_PER_ADDRESS)


def post(port: int) -> int:
    """A form of a stranger's, without a token: refused, and counted all the same."""
    with closing(Client(port, {})) as client:
        return client.ask("POST", "/login", "", {"Host": f"localhost:{port}"}).status


def status(world: World) -> int:
    return world.browser().post("/login").status_code


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[None]:
    """A real one, without a file of its own."""
    program = needed("redis-server", "redis-server")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.only_postgresql
def test_two_processes_on_one_postgresql_count_together(tmp_path: Path, database_url: str) -> None:
    """What one has let through, the other counts too: behind a balancer the ceiling is one."""
    server = Server(tmp_path / "data", database_url=database_url, scheduler="external", mail_url="none")
    port = free_port()
    other = subprocess.Popen(
        [*PROGRAM, "serve", "--port", str(port)], env=server.environment, stderr=subprocess.DEVNULL
    )
    try:
        server.start()
        with closing(socket.socket()) as probe:
            wait_for(lambda: probe.connect_ex(("127.0.0.1", port)) == 0, seconds=START_SECONDS)
        assert post(server.port) == 403
        with server.engine.begin() as connection:
            connection.execute(text("UPDATE limit_counters SET count = :nearly"), {"nearly": CEILING.amount - 2})
        assert [post(one) for one in (port, server.port, port, server.port)] == [403, 403, 429, 429]
    finally:
        other.terminate()
        other.wait(START_SECONDS)
        server.stop()


@pytest.mark.only_postgresql
def test_many_who_count_at_once_lose_no_count(world: World) -> None:
    """Eight threads, twenty-five each; a window that is over counts for nothing, and another begins."""
    storage = DatabaseStorage(engine=db.engine)
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: storage.incr("one", 60), range(200)))
    assert sorted(counted) == list(range(1, 201))
    assert storage.get("one") == 200
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE limit_counters SET expires_at = expires_at - interval '60 s'"))
    assert (storage.get("one"), storage.incr("one", 60), storage.incr("one", 60)) == (0, 1, 2)
    assert storage.incr("another", 60) == 1
    storage.clear("one")
    assert (storage.get("one"), storage.get("another")) == (0, 1)
    storage.reset()
    assert storage.get("another") == 0


@pytest.mark.only_postgresql
def test_without_its_table_changes_are_counted_in_memory(world: World) -> None:
    """Whatever goes wrong with counting, nobody's form fails for it; and it is counted there again afterwards."""
    counting = limits.limiter(world.app)
    assert isinstance(counting.storage, DatabaseStorage)
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE limit_counters RENAME TO away"))
    assert not counting.storage.check()
    assert status(world) == 403
    assert counting.limiter.storage is not counting.storage
    counting.limiter.hit(CEILING, "127.0.0.1", "global", cost=CEILING.amount)
    assert status(world) == 429
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO limit_counters"))
    wait_for(lambda: status(world) == 403)
    assert counting.limiter.storage is counting.storage


@pytest.mark.only_postgresql
def test_housekeeping_forgets_windows_that_are_over(world: World) -> None:
    """And leaves those that run."""
    with transaction() as session:
        for key, seconds in (("over", -1), ("runs", 60)):
            session.add(LimitCounter(key=key, count=7, expires_at=world.clock.now() + timedelta(seconds=seconds)))
    assert "1 ceilings" in housekeeping.tidy(world.runtime)
    db.session.rollback()
    assert [one.key for one in db.session.query(LimitCounter)] == ["runs"]


@pytest.mark.only_sqlite
def test_with_a_rate_limit_url_redis_counts_and_may_be_away(build: Build, tmp_path: Path) -> None:
    """Two applications share the ceiling; without Redis each counts by itself, and no form fails."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with redis_server(tmp_path, port):
        one = build("one", rate_limit_url=url)
        assert status(one) == 403
        limits.limiter(one.app).limiter.hit(CEILING, "127.0.0.1", "global", cost=CEILING.amount - 2)
        other = build("other", rate_limit_url=url)
        assert [status(other), status(other), status(one)] == [403, 429, 429]
    assert [status(other), status(one)] == [403, 403]
    with redis_server(tmp_path, port):
        limits.limiter(one.app).storage.reset()
        wait_for(lambda: status(one) == 403 and limits.limiter(one.app).limiter.storage is not None)


@pytest.mark.only_sqlite
def test_one_machine_counts_in_memory(world: World) -> None:
    """SQLite's writer's lock is not for counting."""
    assert type(limits.limiter(world.app).storage).__name__ == "MemoryStorage"
    assert json.dumps(world.runtime.settings.rate_limit_url) == "null"
