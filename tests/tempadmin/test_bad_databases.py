"""A database that is locked, read-only, full or away: 503 with Retry-After, nothing half done, and then it goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select, text
from structlog.testing import capture_logs

import tempadmin.engine
from scheduler import lease, runs
from scheduler.models import JobRun
from tempadmin.db import db, transaction
from tempadmin.jobs import Job, jobs, register
from tests.browser import Browser
from tests.conftest import Build
from tests.postgresql import Cluster
from tests.tempadmin.stage import everything
from tests.tickets.directories import Outside, put_in
from tests.world import CONSOLE, World
from tickets.models import AccessRequest

Trouble = Callable[[World], Any]
ASK = f"{CONSOLE}/instances/acme/request-access"
FORM = {"reason": "😀" * 2_000, "external_ticket": "HELP-1", "duration": "3600"}


@pytest.fixture
def world(build: Build, monkeypatch: pytest.MonkeyPatch) -> World:
    """Ada and Acme, on a database that is waited for a second at most."""
    monkeypatch.setattr(tempadmin.engine, "LOCK_TIMEOUT_SECONDS", 1)
    world = build()
    world.omniadmin()
    world.instance("acme", "Acme Logistics")
    return world


@contextmanager
def sqlite_locked(world: World) -> Iterator[None]:
    """Another process writes, for longer than anybody waits."""
    with closing(sqlite3.connect(world.runtime.settings.data / "tempadmin.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def sqlite_pragma(statement: str) -> Iterator[None]:
    """Every connection from now on is limited so."""

    def limit(connection: Any, _record: object) -> None:
        connection.execute(statement)

    db.session.remove()
    db.engine.dispose()
    event.listen(db.engine, "connect", limit)
    yield
    event.remove(db.engine, "connect", limit)
    db.session.remove()
    db.engine.dispose()


def sqlite_read_only(_world: World) -> Any:
    """SQLite refuses writes, as on a file system that was mounted read-only."""
    return sqlite_pragma("PRAGMA query_only = ON")


def sqlite_full(_world: World) -> Any:
    """The file must not grow: the error is the one of a full disk."""
    return sqlite_pragma("PRAGMA max_page_count = 1")


@contextmanager
def _other(world: World) -> Iterator[psycopg.Connection]:
    url = db.engine.url
    with psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database) as other:
        yield other


@contextmanager
def postgresql_locked(world: World) -> Iterator[None]:
    """Somebody else holds what every writer wants, longer than lock_timeout."""
    with _other(world) as other:
        other.execute("LOCK TABLE users, access_requests, login_sessions, throttles IN EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def _database_is(setting: str, back: str) -> Iterator[None]:
    url = db.engine.url
    db.session.remove()
    db.engine.dispose()
    server = Cluster(url.port or 0, url.username or "")
    server.run(f'ALTER DATABASE "{url.database}" {setting}')
    yield
    db.session.remove()
    db.engine.dispose()
    server.run(f'ALTER DATABASE "{url.database}" {back}')


def postgresql_read_only(_world: World) -> Any:
    """The address leads to a standby server."""
    return _database_is("SET default_transaction_read_only = on", "RESET default_transaction_read_only")


@contextmanager
def postgresql_gone(_world: World) -> Iterator[None]:
    """The server was stopped under our connections, and takes no new ones."""
    url = db.engine.url
    db.session.rollback()
    server = Cluster(url.port or 0, url.username or "")
    server.run(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")
    yield
    server.run(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')


@contextmanager
def crowded(_world: World) -> Iterator[None]:
    """All connections of this process are in use."""
    db.session.remove()
    with ExitStack() as held:
        for _ in range(15):
            held.enter_context(db.engine.connect())
        yield


TROUBLES: dict[tuple[str, str], Trouble] = {
    ("sqlite", "locked"): sqlite_locked,
    ("sqlite", "read-only"): sqlite_read_only,
    ("sqlite", "full or gone"): sqlite_full,
    ("sqlite", "crowded"): crowded,
    ("postgresql", "locked"): postgresql_locked,
    ("postgresql", "read-only"): postgresql_read_only,
    ("postgresql", "full or gone"): postgresql_gone,
    ("postgresql", "crowded"): crowded,
}
WRITES_FAIL = ("locked", "read-only", "crowded")


@pytest.fixture
def trouble(kind: str, database: str) -> Trouble:
    """What goes wrong with the database that the test runs on."""
    return TROUBLES[database, kind]


def refused(browser: Browser, status: int, header: str | None) -> None:
    assert status == 503, browser.trail[-1]
    assert int(header or "0") > 0
    assert "try again in a few seconds" in browser.text
    assert "Nothing was changed." not in browser.text
    assert "Traceback" not in browser.page


@pytest.mark.parametrize("kind", [*WRITES_FAIL, "full or gone"])
def test_s02_a_database_on_a_bad_day_is_503_and_leaves_nothing_half_done(world: World, trouble: Trouble) -> None:
    """A form and a sign-in are refused whole, pages too where they cannot be read; afterwards the same form goes in."""
    ada, stranger = world.signed_in(), world.browser()
    ada.get(ASK)
    token = ada.token
    stranger.get("/login")
    before = everything(world)
    with trouble(world):
        answer = ada.post(ASK, FORM, token=token)
        refused(ada, answer.status_code, answer.headers.get("Retry-After"))
        if trouble is not sqlite_full:  # a counter still finds its place in a full file
            answer = stranger.post("/login", {"email": "ada@operator.example", "password": "wrong"})
            refused(stranger, answer.status_code, answer.headers.get("Retry-After"))
        page = ada.get(f"{CONSOLE}/access")
        assert page.status_code == 200 or page.headers["Retry-After"]
    assert everything(world) == before
    assert ada.post(ASK, FORM, token=token).status_code == 303
    assert world.newest_request().state == "awaiting_confirmation"


@pytest.mark.parametrize("kind", WRITES_FAIL)
def test_p1_a_request_stands_when_the_database_goes_away_after_it(world: World, trouble: Trouble) -> None:
    """The person is led to its page, whose job goes on with it as soon as there is a database again."""
    put_in(world.app, Outside())
    ada = world.signed_in()
    ada.get(ASK)
    with ExitStack() as open_until_later:
        once = _after_first_commit(lambda: open_until_later.enter_context(trouble(world)))
        answer = ada.post(ASK, FORM)
        event.remove(db.session, "after_commit", once)
    assert answer.status_code == 303, ada.text
    request = world.newest_request()
    assert request.state == "provisioning"
    jobs(world.app)["removal"].run(world.runtime)
    assert world.request(request.id).state == "awaiting_confirmation"


def _after_first_commit(action: Callable[[], object]) -> Callable[[Any], None]:
    done: list[bool] = []

    def begin(session: Any) -> None:
        if any(isinstance(row, AccessRequest) for row in session.identity_map.values()) and not done:
            done.append(True)
            event.listen(db.session, "after_transaction_end", lambda *_: action(), once=True)

    event.listen(db.session, "after_commit", begin)
    return begin


@pytest.mark.parametrize("kind", WRITES_FAIL)
def test_p14_a_job_that_meets_a_bad_day_is_logged_noted_and_run_again(world: World, trouble: Trouble) -> None:
    """Its run failed, or its end could not be written: either way it is noted, and the next due time has its run."""
    held, worked = ExitStack(), list[str]()

    def work(_runtime: object) -> str:
        if not worked:
            worked.append("badly")
            held.enter_context(trouble(world))
        with transaction():
            db.session.execute(text("UPDATE users SET full_name = full_name"))
        return "worked"

    job = Job(name="bad-day", description="Meets a bad day", schedule=timedelta(seconds=30), run=work)
    register(world.app, job)
    epoch = lease.acquire(holder="me", runtime=world.runtime, lasts=timedelta(days=1))
    assert epoch is not None

    def turn() -> None:
        try:
            runs.run_if_due(job, world.runtime, epoch=epoch, holder="me")
        except Exception:  # noqa: BLE001 - the scheduler logs it, and comes again
            db.session.rollback()

    turn()
    world.clock.advance(seconds=31)
    with capture_logs() as logged, held:
        turn()
    assert "job.failed" in [line["event"] for line in logged]
    world.clock.advance(seconds=31)
    turn()
    db.session.rollback()
    outcomes = list(db.session.scalars(select(JobRun.outcome).where(JobRun.job == "bad-day").order_by(JobRun.id)))
    assert outcomes[-1] == "done"
    assert outcomes[0] in ("failed", "lost")
