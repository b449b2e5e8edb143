"""One leader at a time, another one soon after it dies."""

import sqlite3
from datetime import timedelta
from itertools import count
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from scheduler import lease
from scheduler.models import SchedulerLease
from tempadmin.db import transaction
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import FakeClock, at_once, rows


def held(epoch: int, runtime: Runtime) -> bool:
    with transaction():
        return lease.held(epoch, runtime)


def test_p14_of_many_candidates_one_leads(app: Flask) -> None:
    """Twenty-four threads ask together, on a table without a row: one gets the first epoch."""
    numbers = count(1)
    got = at_once(app, lambda: lease.acquire(holder=f"h{next(numbers)}", runtime=current_runtime()), threads=24)
    assert sorted(epoch for epoch in got if epoch is not None) == [1]


def test_p14_a_lapsed_lease_goes_to_one_of_many(app: Flask, clock: FakeClock) -> None:
    """When the leader is gone, one of those who race for its place gets it, under the next epoch."""
    with app.app_context():
        lease.acquire(holder="gone", runtime=current_runtime())
    clock.advance(seconds=20)
    numbers = count(1)
    got = at_once(app, lambda: lease.acquire(holder=f"h{next(numbers)}", runtime=current_runtime()), threads=24)
    assert sorted(epoch for epoch in got if epoch is not None) == [2]


def test_a_lease_holds_up_to_its_end_and_not_at_it(runtime: Runtime, clock: FakeClock) -> None:
    """A rival gets nothing at 19.999999 s, and the next epoch at 20 s."""
    assert lease.acquire(holder="a", runtime=runtime) == 1
    clock.advance(seconds=20, microseconds=-1)
    assert lease.acquire(holder="b", runtime=runtime) is None
    assert held(1, runtime)
    clock.advance(microseconds=1)
    assert not held(1, runtime)
    assert lease.acquire(holder="b", runtime=runtime) == 2


def test_a_renewed_lease_goes_on(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """Renewing every five seconds keeps a rival out and the epoch as it is."""
    lease.acquire(holder="a", runtime=runtime)
    for _ in range(10):
        clock.advance(seconds=5)
        assert lease.renew(holder="a", epoch=1, runtime=runtime)
        assert lease.acquire(holder="b", runtime=runtime) is None
    assert held(1, runtime)
    (row,) = rows(app, select(SchedulerLease))
    assert (row.holder, row.epoch, row.expires_at) == ("a", 1, clock.now() + timedelta(seconds=20))


def test_a_leader_that_slept_through_its_lease_is_out(runtime: Runtime, clock: FakeClock) -> None:
    """Once another took over, the old epoch neither holds nor can be renewed, and giving it back takes nothing away."""
    lease.acquire(holder="a", runtime=runtime)
    clock.advance(seconds=21)
    lease.acquire(holder="b", runtime=runtime)
    assert not lease.renew(holder="a", epoch=1, runtime=runtime)
    lease.release(holder="a", epoch=1, runtime=runtime)
    assert not held(1, runtime)
    assert held(2, runtime)


def test_a_lapsed_lease_that_nobody_took_can_be_renewed(runtime: Runtime, clock: FakeClock) -> None:
    """A slow disk alone does not change who leads."""
    lease.acquire(holder="a", runtime=runtime)
    clock.advance(seconds=21)
    assert not held(1, runtime)
    assert lease.renew(holder="a", epoch=1, runtime=runtime)
    assert held(1, runtime)


def test_a_lease_that_was_given_back_is_free_at_once(runtime: Runtime) -> None:
    """An orderly stop keeps nobody waiting."""
    lease.acquire(holder="a", runtime=runtime)
    lease.release(holder="a", epoch=1, runtime=runtime)
    assert not held(1, runtime)
    assert lease.acquire(holder="b", runtime=runtime) == 2


def test_a_holder_that_asks_again_begins_a_new_epoch(runtime: Runtime) -> None:
    """Whoever failed between taking the lease and its take-over need not wait for its own lease to lapse."""
    assert lease.acquire(holder="a", runtime=runtime) == 1
    assert lease.acquire(holder="a", runtime=runtime) == 2
    assert not lease.renew(holder="a", epoch=1, runtime=runtime)
    assert not held(1, runtime)


def test_a_follower_writes_nothing(tmp_path: Path, runtime: Runtime) -> None:
    """While the leader lives a follower only reads: it is answered although another holds the writer's lock."""
    lease.acquire(holder="a", runtime=runtime)
    writer = sqlite3.connect(tmp_path / "tempadmin.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert lease.acquire(holder="b", runtime=runtime) is None
    writer.close()


def test_a_lease_from_before_a_clock_was_set_back_keeps_nobody_out(runtime: Runtime, clock: FakeClock) -> None:
    """It would end later than any lease can: taken over at once, and not in ten minutes; what is held is held."""
    assert lease.acquire(holder="a", runtime=runtime) == 1
    clock.advance(seconds=-5)
    assert lease.acquire(holder="b", runtime=runtime) is None
    clock.advance(minutes=-10)
    assert lease.acquire(holder="b", runtime=runtime) == 2
    assert not lease.renew(holder="a", epoch=1, runtime=runtime)


def test_a_take_over_is_within_thirty_seconds() -> None:
    """Lease and one look at it fit into the promise, with room for a slow machine."""
    assert timedelta(seconds=25) >= lease.LEASE + lease.RENEW_EVERY


def test_no_two_holders_have_the_same_name() -> None:
    """Two processes with one number on machines of one name are still told apart."""
    assert len({lease.new_holder() for _ in range(100)}) == 100
