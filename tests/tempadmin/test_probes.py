"""/healthz and /readyz: what they say, how little that is, and that no database keeps them waiting."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from scheduler import lease
from scheduler.health import TAKE_OVER
from tempadmin import health
from tempadmin.db import db, transaction
from tests.world import CONSOLE, World, make_world

ALIVE, READY = "/healthz", "/readyz"


def probe(world: World, path: str, *, method: str = "GET", host: str = CONSOLE) -> tuple[int, list[str]]:
    """Status and lines of an answer that rests on a look of its own."""
    db.session.rollback()
    world.app.extensions[health.WATCH]._fresh_until = 0.0
    response = world.browser(host).get(path, method=method)
    return response.status_code, response.get_data(as_text=True).splitlines()


def lead(world: World) -> int:
    epoch = lease.acquire(holder="somebody", runtime=world.runtime)
    assert epoch is not None
    return epoch


def revision(words: str) -> None:
    with transaction() as session:
        session.execute(text(words))


def test_ready_while_database_schema_and_scheduler_are_there(world: World) -> None:
    """All three hold: 200 and one word; the sign of life names the scheduler."""
    lead(world)
    assert probe(world, READY) == (200, ["ready"])
    assert probe(world, ALIVE) == (200, ["ok", "scheduler: seen"])


def test_a_scheduler_that_was_never_seen_is_missing(world: World) -> None:
    """Nothing would expire and nothing be removed: not ready, but alive."""
    assert probe(world, READY) == (503, ["scheduler"])
    assert probe(world, ALIVE) == (200, ["ok", "scheduler: missing"])


def test_a_take_over_is_no_absence(world: World) -> None:
    """Who dies is not missed before somebody had the time to take over, and is missed after that."""
    lead(world)
    world.clock.advance(seconds=(lease.LEASE + TAKE_OVER).total_seconds() - 1)
    assert probe(world, READY) == (200, ["ready"])
    world.clock.advance(seconds=1)
    assert probe(world, READY) == (503, ["scheduler"])
    assert timedelta(seconds=30) <= TAKE_OVER


@pytest.mark.parametrize("change", ["DELETE FROM alembic_version", "UPDATE alembic_version SET version_num = '0001'"])
def test_a_schema_that_lags_behind_is_not_ready(change: str, world: World) -> None:
    """An older schema, or none that a migration made: what rests on it is not looked at."""
    lead(world)
    revision(change)
    assert probe(world, READY) == (503, ["migrations"])
    assert probe(world, ALIVE) == (200, ["ok", "scheduler: unknown"])


def test_a_schema_that_runs_ahead_is_ready(world: World) -> None:
    """After `db upgrade` the workers of the old version go on until each was replaced."""
    lead(world)
    revision("UPDATE alembic_version SET version_num = '9999'")
    assert probe(world, READY) == (200, ["ready"])


@pytest.mark.only_sqlite
def test_a_database_that_is_gone_is_said_and_not_made(world: World) -> None:
    """Alive all the same; a probe leaves no empty file where the database belongs."""
    db.session.remove()
    db.engine.dispose()
    file = world.runtime.settings.data / "tempadmin.db"
    aside = file.rename(file.with_suffix(".aside"))
    assert probe(world, READY) == (503, ["database"])
    assert probe(world, ALIVE) == (200, ["ok", "scheduler: unknown"])
    assert not file.exists()
    aside.rename(file)


@pytest.mark.only_postgresql
def test_a_standby_is_not_ready(world: World) -> None:
    """A database that refuses every change is none to send people to."""
    lead(world)
    with db.engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
        connection.commit()
    db.session.remove()
    db.engine.dispose()
    assert probe(world, READY) == (503, ["database"])


def test_a_database_that_swallows_questions_holds_nobody_up(tmp_path: Path) -> None:
    """It takes connections and never says a word: the first answer waits a second, the next ones not at all."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        world = make_world(tmp_path, database_url=address)
        with world.app.app_context():
            began = time.monotonic()
            assert probe(world, ALIVE) == (200, ["ok", "scheduler: unknown"])
            assert time.monotonic() - began < health.PATIENCE + 1
            began = time.monotonic()
            assert probe(world, READY) == (503, ["database"])
            assert time.monotonic() - began < health.PATIENCE / 2
            db.engine.dispose()


def test_a_look_that_takes_its_time_says_nothing_yet() -> None:
    """On a busy machine what was seen last stands for some seconds, and then no more."""
    let_go, asked = threading.Event(), []

    def look() -> dict[str, bool]:
        asked.append(1)
        if len(asked) > 1:
            let_go.wait(10)
        return {health.DATABASE: True}

    watch = health.Watch(look)
    assert watch.latest() == {health.DATABASE: True}
    watch._fresh_until = time.monotonic()
    assert watch.latest() == {health.DATABASE: True}
    assert len(asked) == 2
    watch._fresh_until -= health.USABLE_FOR
    assert watch.latest() is None
    let_go.set()


def test_many_probes_are_one_look(world: World) -> None:
    """Whatever a monitor asks, and however often, the database is asked once in a few seconds."""
    probe(world, READY)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    world.app.extensions[health.WATCH]._fresh_until = 0.0
    world.browser().get(READY)
    once = len(asked)
    for path in (READY, ALIVE) * 10:
        world.browser().get(path)
    assert 0 < once == len(asked)


def test_all_who_ask_at_once_share_one_look() -> None:
    """Ten threads, one look at work."""
    looks, let_go = [], threading.Event()

    def look() -> dict[str, bool]:
        looks.append(1)
        let_go.wait(5)
        return {health.DATABASE: True}

    watch, found = health.Watch(look), []
    threads = [threading.Thread(target=lambda: found.append(watch.latest())) for _ in range(10)]
    for thread in threads:
        thread.start()
    let_go.set()
    for thread in threads:
        thread.join()
    assert found == [{health.DATABASE: True}] * 10
    assert len(looks) == 1


@pytest.mark.only_sqlite
@pytest.mark.parametrize("path", [ALIVE, READY])
def test_s07_probes_say_no_more_than_they_must(path: str, world: World) -> None:
    """Words alone: no version, no address; no cookie; HEAD says nothing; a stranger's host is as good as any."""
    lead(world)
    world.omniadmin()
    for browser in (world.browser(), world.signed_in(), world.browser("http://10.0.0.1:8000")):
        browser.client.set_cookie("tempadmin_session", "x" * 43, domain="10.0.0.1")
        response = browser.get(path)
        assert set(response.get_data(as_text=True).split()) <= {"ok", "scheduler:", "seen", "ready"}
        assert "Set-Cookie" not in response.headers
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
    assert probe(world, path, method="HEAD") == (200, [])


def test_without_the_scheduler_module_nobody_is_missed(tmp_path: Path) -> None:
    """Whoever leaves it out is not asked for it."""
    world = make_world(tmp_path, modules=("instances",))
    with world.app.app_context():
        assert probe(world, ALIVE) == (200, ["ok"])
        assert probe(world, READY) == (503, ["database"])
        db.engine.dispose()
