"""The one transaction, and how SQLite is set up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from instances.models import VirtualInstance
from scheduler.fencing import refuse_when_overtaken
from tempadmin.accounts import throttle as throttles
from tempadmin.accounts.models import Throttle
from tempadmin.accounts.sessions import recheck_acting
from tempadmin.audit.log import SERVICE, record, write_collected
from tempadmin.audit.models import AuditEvent
from tempadmin.db import after_commit, before_commit, claimed, db, lock, lock_or_make, transaction
from tests.tempadmin.stage import everything
from tests.world import World

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def throttle(key: str) -> Throttle:
    return Throttle(key=key, failures=0, updated_at=NOW)


def keys() -> list[str]:
    db.session.rollback()
    return sorted(db.session.scalars(select(Throttle.key)))


def refuse(_session: object) -> None:
    raise PermissionError


def test_a_transaction_commits_at_its_end(world: World) -> None:
    """What was added is there for everybody afterwards."""
    with transaction() as session:
        session.add(throttle("a"))
    db.session.remove()
    assert keys() == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_rolls_back_whatever_is_raised(error: type[BaseException], world: World) -> None:
    """Errors of every kind leave nothing behind, and the next transaction works."""
    before = everything(world)

    def work() -> None:
        with transaction() as session:
            session.add(throttle("a"))
            session.flush()
            record("test", instance_id=1, actor=SERVICE, at=NOW)
            raise error

    with pytest.raises(error):
        work()
    assert everything(world) == before
    with transaction() as session:
        session.add(throttle("b"))
    assert keys() == ["b"]
    assert db.session.scalar(select(AuditEvent.event).where(AuditEvent.event == "test")) is None


def test_a_transaction_refuses_another_inside_it(world: World) -> None:
    """The inner one would commit half of the outer one; nothing of either is kept."""

    def work() -> None:
        with transaction() as session:
            session.add(throttle("outer"))
            with transaction():
                pass

    with pytest.raises(RuntimeError, match="open already"):
        work()
    assert keys() == []
    with transaction():
        pass


def test_a_transaction_forgets_what_was_read_before(world: World) -> None:
    """A row changed by somebody else meanwhile is read anew, not taken from memory."""
    row = world.default_instance()
    assert row.name == "Operator"
    with db.engine.connect() as other:
        other.exec_driver_sql("UPDATE virtual_instances SET name = 'Renamed'")
        other.commit()
    with transaction():
        assert lock(VirtualInstance, row.id).name == "Renamed"  # type: ignore[union-attr]


def test_before_each_commit_the_session_is_rechecked_and_then_the_record_written(world: World) -> None:
    """In this order: the lease comes first, and the acting session's lock before the audit heads' (design §2)."""
    assert before_commit(world.app) == [refuse_when_overtaken, recheck_acting, write_collected]


def test_the_hooks_run_in_order_and_inside(world: World) -> None:
    """Each sees what was written, may write more, and takes everything back when it raises."""
    seen: list[str] = []
    before_commit(world.app).insert(0, lambda session: seen.append("first"))
    before_commit(world.app).append(lambda session: session.add(throttle(f"hook after {len(seen)}")))
    with transaction():
        seen.append("body")
    assert seen == ["body", "first"]
    assert keys() == ["hook after 2"]

    before_commit(world.app).append(refuse)
    with pytest.raises(PermissionError), transaction() as session:
        session.add(throttle("refused"))
    assert keys() == ["hook after 2"]


def test_what_waits_for_the_commit_runs_after_it_and_outside_it(world: World) -> None:
    """It may begin a transaction of its own, and does not run when there was no commit."""
    done: list[str] = []

    def later() -> None:
        with transaction() as session:
            session.add(throttle("later"))
        done.append("later")

    with transaction():
        after_commit(later)
        assert done == []
    assert done == ["later"]
    before_commit(world.app).append(refuse)
    with pytest.raises(PermissionError), transaction():
        after_commit(lambda: done.append("never"))
    before_commit(world.app).remove(refuse)
    assert done == ["later"]
    with transaction():
        pass
    assert done == ["later"]


def test_a_guarded_update_tells_whether_it_moved_the_row(world: World) -> None:
    """True for whoever was first, false for everybody after."""
    with transaction() as session:
        session.add(throttle("a"))
    move = Throttle.__table__.update().where(Throttle.failures == 0).values(failures=1)  # type: ignore[attr-defined]
    with transaction():
        assert claimed(move)
        assert not claimed(move)


def test_a_row_that_many_make_at_once_is_made_once_and_locked_for_each(world: World) -> None:
    """Of eight first ones at a barrier none fails, and none overwrites what another counted."""
    together = Barrier(8)

    def count(_number: int) -> None:
        with world.app.app_context():
            db.session.connection()
            together.wait()
            with transaction():
                lock_or_make(Throttle, "new", failures=0, updated_at=NOW).failures += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert db.session.get_one(Throttle, "new").failures == 8


def test_s12_counters_come_in_the_order_asked_for(world: World) -> None:
    """They are locked by ascending key, and answer to the keys as they were given."""
    with transaction():
        assert [row.key for row in throttles.locked_all("b", "c", "a", now=NOW)] == ["b", "c", "a"]


@pytest.mark.only_sqlite
def test_sqlite_is_set_up_for_more_than_one_writer(world: World) -> None:
    """Write-ahead log, every commit on the disk, foreign keys on, and a wait instead of an error."""
    pragmas = {name: db.session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert db.session.scalar(text("PRAGMA foreign_keys")) == 1
    assert db.session.scalar(text("PRAGMA busy_timeout")) == 5000


@pytest.mark.only_sqlite
def test_every_connection_is_set_up(world: World) -> None:
    """Not the first one only: each from the pool has the pragmas."""
    with db.engine.connect() as first, db.engine.connect() as second:
        for connection in (first, second):
            values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("foreign_keys", "synchronous")]
            assert values == [1, 2]


def test_foreign_keys_hold(world: World) -> None:
    """An instance with people cannot be deleted under them."""
    world.omniadmin()
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(text("DELETE FROM virtual_instances"))


@pytest.mark.only_sqlite
def test_a_write_takes_the_writers_lock_at_once(world: World) -> None:
    """A rival waits for it from the beginning, so what was read under it stays true."""
    with transaction(), db.engine.connect() as rival:
        rival.exec_driver_sql("PRAGMA busy_timeout = 1")
        with pytest.raises(Exception, match="database is locked"):
            rival.exec_driver_sql("UPDATE virtual_instances SET name = 'x'")
        rival.rollback()


def test_a_moment_needs_its_offset_and_comes_back_in_utc(world: World) -> None:
    """A naive time is refused; another zone's is the same moment afterwards."""
    oslo = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    with transaction() as session:
        session.add(Throttle(key="a", failures=0, updated_at=oslo))
    db.session.remove()
    stored = db.session.get_one(Throttle, "a").updated_at
    assert stored == oslo
    assert stored.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="offset"), transaction() as session:
        session.add(Throttle(key="b", failures=0, updated_at=datetime(2026, 7, 1)))  # noqa: DTZ001
