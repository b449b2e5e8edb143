"""Who writes next on SQLite: the threads of a process queue, and nobody waits for ever."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tempadmin.db import db, is_outage, transaction
from tempadmin.turns import UNTIL, Turns
from tests.world import World


def test_whoever_waits_too_long_for_a_turn_is_told_that_the_database_is_locked() -> None:
    """It is an outage like any other: the page says 503 and to try again."""
    turns = Turns(longest=0.05)
    with turns, ThreadPoolExecutor() as others:
        error = others.submit(turns.__enter__).exception()
    assert isinstance(error, PoolTimeoutError)
    assert is_outage(error)


def test_a_turn_that_ended_in_an_error_is_over() -> None:
    """The next one writes."""
    turns = Turns(longest=0.05)
    with pytest.raises(ZeroDivisionError), turns:
        raise ZeroDivisionError
    with turns:
        pass


def test_whoever_waits_is_told_when_the_worker_beside_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """And looks no earlier: looking often costs what it gains."""
    monkeypatch.setattr("tempadmin.turns.HEARD_PAUSE", 600.0)
    turns = Turns()
    turns.share()
    waiting = threading.Thread(target=turns.wait, args=(0.001,), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    with turns:
        pass
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.only_sqlite
def test_a_lock_that_another_process_gives_back_is_found_at_once(world: World) -> None:
    """SQLite would sleep up to 100 ms between two looks; and a transaction that waited is as good as any."""
    other = sqlite3.connect(world.runtime.settings.data / "tempadmin.db", isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
        with transaction() as session:
            assert session.execute(text("SELECT 1")).scalar_one() == 1
            assert session.execute(text("PRAGMA busy_timeout")).scalar_one() == 5000


@pytest.mark.only_sqlite
def test_whoever_queued_for_long_waits_no_longer_for_the_lock_of_another_process(world: World) -> None:
    """Both waits together have one limit: a lock that is given back after it comes too late."""
    other = sqlite3.connect(world.runtime.settings.data / "tempadmin.db", isolation_level=None, check_same_thread=False)
    with closing(other), db.engine.connect() as connection:
        other.execute("BEGIN IMMEDIATE")
        (later := threading.Timer(0.5, lambda: other.execute("COMMIT"))).start()
        with pytest.raises(OperationalError, match="locked"):
            connection.execution_options(write=True, **{UNTIL: 0.0}).execute(text("SELECT 1"))
        later.cancel()
