"""Two at once in an order that the test chooses: real connections, and locks that are seen to be waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, get_ident
from typing import Any, TypeVar

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from tempadmin.audit.log import COLLECTED, write_collected
from tempadmin.db import before_commit, db
from tests.tickets.directories import PATIENCE
from tests.world import World

R = TypeVar("R")
S = TypeVar("S")

BEFORE_RECHECK, HOLDING_ALL = "before the acting session is checked again", "holding every lock"
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@contextmanager
def held(world: World, request_id: int) -> Iterator[Callable[[], object]]:
    """Hold what guards a request, from another connection; yields what lets it go.

    On SQLite that is the one writer's lock, on PostgreSQL the request's row.
    """
    with db.engine.connect() as connection:
        if _is_sqlite(db.engine):
            connection.execution_options(write=True)
            connection.begin()
        else:
            connection.execute(text("SELECT id FROM access_requests WHERE id = :id FOR UPDATE"), {"id": request_id})
        yield connection.rollback


def while_waiting(world: World, request_id: int, call: Callable[[], R], then: Callable[[], object]) -> R:
    """Make a call that comes to wait for a request; once it waits, do something, then let it have the lock."""
    with held(world, request_id) as let_go, ThreadPoolExecutor(1) as pool, _waiters(db.engine) as waits:
        called = pool.submit(call)
        assert waits(called), "the call did not wait for the lock"
        then()
        let_go()
        return called.result(PATIENCE)


def overlap(
    first: tuple[World, Callable[[], R]],
    second: tuple[World, Callable[[], S]],
    *,
    at: str | None,
    stop: str = HOLDING_ALL,
) -> tuple[R, S]:
    """Stop one call just before it commits, let another come to where it waits or ends; then let the first go on.

    Parameters
    ----------
    first, second
        An application of its own for each, and what is called in its context.
    at
        The audit event that tells which of the first one's transactions is meant; ``None``: its very first.
    stop
        Whether it stops with every lock held, or before it has checked its own session again.
    """
    stopped, go = Event(), Event()
    (one, call), (other, rival) = first, second
    hooks = before_commit(one.app)

    def wait(session: Session) -> None:
        told = [entry.event for entry in session.info.get(COLLECTED, ())]
        if (at is None or at in told) and threads == [get_ident()] and not stopped.is_set():
            stopped.set()
            assert go.wait(PATIENCE)

    threads: list[int] = []

    def make_call() -> R:
        threads.append(get_ident())
        with one.app.app_context():
            return call()

    def make_rival() -> S:
        with other.app.app_context():
            return rival()

    with other.app.app_context():
        engine = db.engine
    hooks.insert(0 if stop == BEFORE_RECHECK else hooks.index(write_collected), wait)
    try:
        with ThreadPoolExecutor(2) as pool, _waiters(engine) as waits:
            called = pool.submit(make_call)
            called.add_done_callback(lambda _future: stopped.set())
            assert stopped.wait(PATIENCE)
            assert not called.done(), f"it never came to {at}: {called.result()!r}"
            met = pool.submit(make_rival)
            waits(met)
            go.set()
            return called.result(PATIENCE), met.result(PATIENCE)
    finally:
        go.set()
        hooks.remove(wait)


@contextmanager
def _waiters(engine: Engine) -> Iterator[Callable[[Future[Any]], bool]]:
    """Yield what blocks until somebody waits for a lock (true), or a call is over without having waited (false)."""
    stirred = Event()

    def on_options(_connection: Any, options: dict[str, Any]) -> None:
        if options.get("write"):  # on SQLite the last thing before BEGIN IMMEDIATE
            stirred.set()

    def wait_on_sqlite(called: Future[Any]) -> bool:
        called.add_done_callback(lambda _future: stirred.set())
        assert stirred.wait(PATIENCE)
        return not called.done()

    def wait_on_postgresql(called: Future[Any]) -> bool:
        with engine.connect() as observer:
            for _ in range(PATIENCE * 200):
                if called.done():
                    return False
                if observer.scalar(WAITING):
                    return True
                observer.rollback()
                stirred.wait(0.005)
        raise AssertionError("neither over nor waiting")

    if not _is_sqlite(engine):
        yield wait_on_postgresql
        return
    event.listen(engine, "set_connection_execution_options", on_options)
    try:
        yield wait_on_sqlite
    finally:
        event.remove(engine, "set_connection_execution_options", on_options)


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"
