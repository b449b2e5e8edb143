"""A backup is one moment's, and keeps no writer waiting: made while others write as fast as they can."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from instances.models import VirtualInstance
from tempadmin.backup import copying
from tempadmin.clock import steady_seconds
from tempadmin.db import db, transaction
from tempadmin.engine import LOCK_TIMEOUT_SECONDS
from tests.world import World

ROWS, MOST_STEPS = 20_000, 300


@pytest.mark.only_sqlite
def test_s05_a_backup_keeps_no_writer_waiting_and_is_of_one_moment(
    world: World, acme: VirtualInstance, tmp_path: Path
) -> None:
    """Two counters that every write moves together are equal in the copy; no write waited for the copy's end."""
    file = copying.database_file(world.runtime.settings)
    with transaction() as session:
        for number in (1, 2):
            session.execute(text(f"CREATE TABLE counter{number} (n INTEGER)"))
            session.execute(text(f"INSERT INTO counter{number} VALUES (0)"))
        session.execute(text("CREATE TABLE filling (words TEXT)"))
        fill = f"WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {ROWS}) "
        session.execute(text(fill + "INSERT INTO filling SELECT hex(randomblob(500)) FROM up"))
    db.session.remove()
    waits: list[float] = []
    done, during = threading.Event(), list[int]()

    def write() -> None:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as own:
            while not done.is_set():
                begun = steady_seconds()
                own.executescript(
                    "BEGIN IMMEDIATE; UPDATE counter1 SET n = n + 1; UPDATE counter2 SET n = n + 1; COMMIT"
                )
                waits.append(steady_seconds() - begun)

    def step(_done: int, _all: int) -> None:
        during.append(len(waits))
        assert len(during) < MOST_STEPS, "each write of others makes it begin again"

    thread = threading.Thread(target=write)
    thread.start()
    copy, before = tmp_path / "copy.db", len(waits)
    try:
        copying.copy(file, copy, progress=step)
    finally:
        done.set()
        thread.join()
    assert len(during) > 10, "it goes in small steps"
    assert during[-1] > before, "others wrote meanwhile"
    assert max(waits) < LOCK_TIMEOUT_SECONDS
    with closing(sqlite3.connect(copy)) as there:
        (first,), (second,) = (there.execute(f"SELECT n FROM counter{number}").fetchone() for number in (1, 2))
        assert first == second
        assert there.execute("SELECT count(*) FROM filling").fetchone() == (ROWS,)
        assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
