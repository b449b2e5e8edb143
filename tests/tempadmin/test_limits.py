"""The ceiling on changes holds over all machines, and what counts may be away without harm."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tempadmin.accounts import housekeeping
from tempadmin.db import db, transaction
from tempadmin.web import limits
from tempadmin.web.limit_storage import WINDOW_SECONDS, InDatabase, InMemory, LimitCounter
from tests.bench.client import Client
from tests.conftest import Build
from tests.programs import needed
from tests.scheduler.world import wait_for
from tests.tickets.servers import PROGRAM, START_SECONDS, Server
from tests.world import World


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
            connection.execute(text("UPDATE limit_counters SET count = :nearly"), {"nearly": limits.MOST_CHANGES - 2})
        assert [post(one) for one in (port, server.port, port, server.port)] == [403, 403, 429, 429]
    finally:
        other.terminate()
        other.wait(START_SECONDS)
        server.stop()


@pytest.mark.only_postgresql
def test_many_who_count_at_once_lose_no_count(world: World) -> None:
    """Eight threads, twenty-five each; a window that is over counts for nothing, and another begins."""
    storage = InDatabase(db.engine)
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: storage.count("one"), range(200)))
    assert sorted(counted) == list(range(1, 201))
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE limit_counters SET expires_at = expires_at - interval '60 s'"))
    assert (storage.count("one"), storage.count("one", 5), storage.count("another")) == (1, 6, 1)


@pytest.mark.only_sqlite
def test_a_worker_loses_no_count_and_begins_anew_when_a_window_is_over() -> None:
    """Eight threads in one memory; addresses that came once are forgotten."""
    seconds = 1000.0
    storage = InMemory(lambda: seconds)
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: storage.count("one"), range(200)))
    assert sorted(counted) == list(range(1, 201))
    seconds += WINDOW_SECONDS - 1
    assert (storage.count("one"), storage.count("another")) == (201, 1)
    seconds += 1
    assert storage.count("one", 5) == 5
    assert storage._counts.keys() == {"one", "another"}
    seconds += WINDOW_SECONDS - 1
    assert (storage.count("one"), storage.count("another")) == (6, 1)
    seconds += WINDOW_SECONDS
    assert storage.count("one") == 1
    assert storage._counts.keys() == {"one"}


@pytest.mark.only_postgresql
def test_without_its_table_changes_are_counted_in_memory(world: World) -> None:
    """Whatever goes wrong with counting, nobody's form fails for it; and it is counted there again afterwards."""
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE limit_counters RENAME TO away"))
    limits.ceiling(world.app).pause = 0.1
    assert status(world) == 403
    limits.ceiling(world.app).count("127.0.0.1", limits.MOST_CHANGES)
    assert status(world) == 429
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO limit_counters"))
    wait_for(lambda: status(world) == 403)
    assert db.session.query(LimitCounter).one().count >= 1


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
        limits.ceiling(one.app).count("127.0.0.1", limits.MOST_CHANGES - 2)
        other = build("other", rate_limit_url=url)
        assert [status(other), status(other), status(one)] == [403, 429, 429]
    for world in (one, other):
        limits.ceiling(world.app).pause = 0.1
    assert [status(other), status(one)] == [403, 403]
    with redis_server(tmp_path, port):  # it begins with nothing, so whoever counts there again is heard by the other
        wait_for(lambda: limits.ceiling(one.app).count("127.0.0.2", limits.MOST_CHANGES) == limits.MOST_CHANGES)
        wait_for(lambda: limits.ceiling(other.app).count("127.0.0.2") > limits.MOST_CHANGES)


@pytest.mark.only_sqlite
def test_one_machine_counts_in_memory(world: World) -> None:
    """SQLite's writer's lock is not for counting."""
    limits.ceiling(world.app).count("127.0.0.1", limits.MOST_CHANGES - 1)
    assert [status(world), status(world)] == [403, 429]
    assert db.session.query(LimitCounter).count() == 0
