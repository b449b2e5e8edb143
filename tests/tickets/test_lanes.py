"""P11, P14: one instance that hangs costs no other one's removal, create or reading more than a moment."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import select, update

from instances.connectors.registry import connectors
from instances.models import VirtualInstance
from scheduler import fencing, lease
from scheduler.models import SchedulerLease
from tempadmin.clock import steady_seconds
from tempadmin.db import db, transaction
from tempadmin.jobs import by_itself
from tests.tickets.asked import change
from tests.tickets.outages import FAR, Odd, Slow, come_true, ending, far_instances, meanwhile, states
from tests.tickets.scenes import bring, new_scene
from tests.world import World
from tickets import directories, doctor_directories, removal
from tickets.expire import retry_due
from tickets.lanes import LANES
from tickets.models import AccessRequest
from tickets.removal_at_once import candidates
from tickets.states import State
from tickets.sweep import Swept, sweep


def test_p11_three_hanging_products_of_thirty_keep_no_other_account(world: World) -> None:
    """All healthy accounts are gone while the three still hang; of these one call is under way each, and no more."""
    far, instances = far_instances(world, 30)
    ids = [*ending(world, instances), *ending(world, instances[:3], who="second")]
    far.hanging = set(instances[:3])
    healthy = [one for one in ids if world.request(one).instance_id not in far.hanging]
    with meanwhile(world, lambda: retry_due(world.runtime)) as said:
        come_true(lambda: set(states(healthy).values()) == {State.ENDED})
        assert far.under_way.count(instances[0]) == 1
        assert sorted(far.under_way) == sorted(far.hanging)
    assert said == ["0 made, 27 removed"]
    assert not far.both
    assert far.most <= LANES
    stuck = [world.request(one) for one in ids if one not in healthy]
    assert {(one.state, one.last_error) for one in stuck} == {
        (State.ENDING, "no whole answer within 5 s"),
        (State.ENDING, None),
    }
    assert sorted(one.removal_failures for one in stuck) == [0, 0, 0, 1, 1, 1]
    far.hanging.clear()
    world.clock.advance(minutes=1)
    assert retry_due(world.runtime) == "0 made, 6 removed"


def test_p11_products_known_to_hang_leave_a_lane_to_the_others(world: World) -> None:
    """Seven hang and have failed before: they get all lanes but one, so what comes due meanwhile is done meanwhile."""
    far, instances = far_instances(world, 8)
    ids = ending(world, instances)
    far.hanging = set(instances[:7])
    change(AccessRequest, ids[7], next_attempt_at=world.clock.now() + timedelta(hours=1))
    for one in ids[:7]:
        change(AccessRequest, one, removal_failures=4)
    scene = new_scene(world)
    change(VirtualInstance, scene.instance_id, connector=FAR)
    with meanwhile(world, lambda: retry_due(world.runtime)) as said:
        come_true(lambda: len(far.under_way) >= LANES - 1)
        bring(world, scene, State.PROVISIONING)
        change(AccessRequest, ids[7], next_attempt_at=world.clock.now())
        done = {ids[7]: State.ENDED, scene.request_id: State.AWAITING_CONFIRMATION}
        come_true(lambda: states(list(done)) == done)
    assert said == ["1 made, 1 removed"]


def test_p14_a_lane_commits_nothing_when_its_run_was_overtaken(world: World) -> None:
    """It hung past the lease: what it was told is not written down by it; whoever leads now asks again."""
    far, instances = far_instances(world, 3)
    ids = ending(world, instances)
    far.hanging = {instances[0]}
    epoch = lease.acquire(holder="first", runtime=world.runtime)

    def work() -> object:
        with fencing.under(epoch) as run:
            try:
                retry_due(world.runtime)
            except fencing.Overtaken:
                return run is not None and run.overtaken
        return "written"

    with meanwhile(world, work) as said:
        come_true(lambda: states(ids[1:]) == dict.fromkeys(ids[1:], State.ENDED))
        come_true(lambda: far.under_way == [instances[0]])
        with transaction() as session:
            session.execute(update(SchedulerLease).values(epoch=SchedulerLease.epoch + 1))
    assert said == [True]
    assert (world.request(ids[0]).removal_failures, world.request(ids[0]).state) == (0, State.ENDING)


def test_a_process_that_stops_begins_no_further_call(world: World) -> None:
    """What is under way is waited for, a call at most, and written down; the rest is the next leader's."""
    far, instances = far_instances(world, LANES + 1)
    ids, stop = ending(world, instances, people=2), Event()
    far.hanging, far.obeys = set(instances[:LANES]), True

    def work() -> str:
        with by_itself(stop.is_set):
            return retry_due(world.runtime)

    with meanwhile(world, work) as said:
        come_true(lambda: len(far.under_way) == LANES)
        stop.set()
    assert said == [f"0 made, {LANES} removed"]
    assert sorted(far.asked) == instances[:LANES]
    assert list(states(ids).values()).count(State.ENDED) == LANES


def test_p11_directories_are_read_side_by_side_and_told_of_in_order(world: World) -> None:
    """The clean-up and the doctor read the others while one hangs; a connector that breaks down is told of, too."""
    far, instances = far_instances(world, 12)
    far.hanging = set(instances[:3])
    broken = world.instance("broken", connector="odd").name
    connectors(world.app)["odd"] = Odd()
    with meanwhile(world, lambda: list(directories.read_all(world.runtime))) as said:
        come_true(lambda: set(instances[3:]) <= set(far.asked))
        assert sorted(far.under_way) == instances[:3]
    (readings,) = said
    theirs = select(VirtualInstance.name).where(VirtualInstance.connector == FAR)
    names = list(db.session.scalars(theirs.order_by(VirtualInstance.id)))
    assert isinstance(readings, list)
    assert [one.instance_name for one in readings] == [*names, broken]
    assert [one.error for one in readings] == [*["no whole answer within 5 s"] * 3, *[None] * 9, "RuntimeError"]
    assert far.most <= LANES
    assert len(list(doctor_directories.look(world.runtime))) == 4


@pytest.mark.only_sqlite
def test_p11_ends_of_many_accesses_cost_a_page_one_slow_directory_at_most(world: World) -> None:
    """A person who archives an instance waits for what is here and for one call elsewhere; a job waits for none."""
    far, (instance, *_) = far_instances(world, 1)
    slow = [Slow(), Slow()]
    connectors(world.app).update(slow1=slow[0], slow2=slow[1])
    ids = ending(world, [instance, *[world.instance(f"s{n}", connector=f"slow{n}").id for n in (1, 2)]])
    with transaction() as session:
        for number in (1, 2):
            mine = update(AccessRequest).where(AccessRequest.id == ids[number])
            session.execute(mine.values(connector=f"slow{number}"))
    with by_itself(lambda: False):
        removal.try_quietly(candidates(AccessRequest.id.in_(ids), len(ids)))
    assert [far.asked, slow[0].left, slow[1].left] == [[], [], []]
    began = steady_seconds()
    removal.try_quietly(candidates(AccessRequest.id.in_(ids), len(ids)))
    assert steady_seconds() - began < 2
    assert [len(one.left) for one in slow] == [1, 0]
    assert 4 < slow[0].left[0] <= 5
    assert states(ids) == {ids[0]: State.ENDED, ids[1]: State.ENDED, ids[2]: State.ENDING}


@pytest.mark.only_sqlite
def test_p11_the_clean_up_mends_other_places_while_one_hangs(world: World) -> None:
    """Removals that nobody went on with, at a product that hangs and at others: those are gone meanwhile."""
    far, instances = far_instances(world, 4)
    ids = ending(world, instances, people=2)
    far.hanging, far.reads = {instances[0]}, True
    with meanwhile(world, lambda: sweep(min_age=timedelta(0), runtime=world.runtime)) as said:
        come_true(lambda: instances[0] in far.under_way)
        others = [one for one in ids if world.request(one).instance_id != instances[0]]
        come_true(lambda: set(states(others).values()) == {State.ENDED})
    (swept,) = said
    assert isinstance(swept, Swept)
    assert swept.found > swept.gone >= 6
    assert not far.both
