"""A job's batches are as large as fits into the time that others can wait for SQLite's one lock."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import pytest

from tempadmin import failpoints
from tests.tickets.crowd import crowd
from tests.world import World
from tickets.batches import AIM_SECONDS, BATCH, FEWEST, MOST, Pace
from tickets.expire import expire_due


def test_what_was_slow_is_done_in_smaller_batches_and_what_was_quick_in_larger_ones() -> None:
    """The size follows the last batch's time, twice as many at most, within what is sensible."""
    pace = Pace()
    with pace.changing(BATCH):
        Event().wait(1.6 * AIM_SECONDS)
    assert FEWEST <= pace.size < BATCH
    for _ in range(10):
        before = pace.size
        with pace.changing(MOST):
            pass
        assert pace.size == min(2 * before, MOST)


def test_batches_of_a_list_are_even() -> None:
    """No short one at the end, which would cost a transaction of its own."""
    assert [len(some) for some in Pace().evenly(range(2 * BATCH + 2))] == [34, 34, 34]
    assert list(Pace().evenly([])) == []


@pytest.mark.only_sqlite
def test_p1_each_batch_is_removed_right_after_it_ended(world: World) -> None:
    """120 accesses take several transactions, and no account waits for the ends of all others."""
    people = [world.omniadmin(f"op{number}@operator.example").id for number in range(6)]
    crowd(requesters=people, instances=[world.instance(f"c{n}").id for n in range(20)], ends_at=world.clock.now())
    committed: list[str] = []
    failpoints.hook = lambda point: committed.append(point) if point.endswith(":committed") else None
    try:
        assert expire_due(world.runtime) == "120 ended"
    finally:
        failpoints.hook = None
    ends = [n for n, point in enumerate(committed) if "_end_together" in point]
    assert len(ends) >= 2
    assert ends[0] == 0
    assert all(after > before + 1 for before, after in pairwise([*ends, len(committed)]))
