"""P4, P10: the jobs against a redemption and against a last page, in both orders, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from tests.conftest import Build
from tests.tickets.evidence import at_once, events, faults, workers
from tests.tickets.locks import overlap
from tests.tickets.scenes import Scene, assert_nothing_left, new_scene
from tests.world import World
from tickets.expire import expire_due
from tickets.states import EndReason, State
from tickets.sweep import sweep

MOMENT = timedelta(microseconds=1)
Job = Callable[[World], str]


def expiry(world: World) -> str:
    """The job that ends what is over."""
    return expire_due(world.runtime)


def clean_up(world: World) -> str:
    """The daily sweep, with no mercy for the young."""
    return str(sweep(min_age=timedelta(0), runtime=world.runtime))


JOBS: list[Job] = [expiry, clean_up]
jobs = pytest.mark.parametrize("job", JOBS, ids=lambda one: one.__name__)


def at_the_door(world: World, one: World) -> tuple[Scene, Callable[[], int]]:
    """A scene a moment before its ticket expires, and a redemption of it on another worker."""
    scene = new_scene(world, State.READY)
    world.clock.advance(minutes=4, seconds=59)
    browser, back = scene.back(one)
    return scene, lambda: browser.get(back).status_code


@pytest.fixture
def world(build: Build) -> World:
    return build(rate_limits=False, idle_timeout=timedelta(minutes=10))


@jobs
def test_p10_a_redemption_beats_the_job_that_waits_for_it(world: World, job: Job) -> None:
    """The ticket runs out while the redemption commits; the job comes, waits, looks again, and leaves it alone."""
    with workers(world, 2) as (one, other):
        scene, redeem = at_the_door(world, one)

        def work() -> str:
            world.clock.advance(seconds=1)
            return job(other)

        status, said = overlap((one, redeem), (other, work), at="access.entered")
    assert status == 303
    assert "cannot be judged" not in said  # it looked under the lock, and had no need of the guarded UPDATE
    assert world.request(scene.request_id).state == State.ACTIVE
    assert "access.ending" not in events(scene.request_id)
    assert faults(world) == []


@jobs
def test_p4_a_redemption_that_waits_for_the_job_comes_too_late(world: World, job: Job) -> None:
    """The job is about to commit the lapse; the redemption waits for it, and finds nothing."""
    with workers(world, 2) as (one, other):
        scene, redeem = at_the_door(world, other)
        world.clock.advance(seconds=1)

        def late() -> int:
            world.clock.advance(seconds=-1)  # as early as it might have begun: the state refuses it, not the time
            return redeem()

        _, status = overlap((one, lambda: job(one)), (other, late), at="access.ending")
    assert status == 410
    assert world.request(scene.request_id).end_reason == EndReason.LAPSED
    world.clock.advance(seconds=1)
    assert_nothing_left(world, scene)


@jobs
def test_p10_jobs_and_redemptions_at_once_agree(world: World, job: Job) -> None:
    """At the very expiry, at a barrier: either nobody is inside and it lapsed, or – a moment before – somebody is."""
    with workers(world, 4) as others:
        for early in (MOMENT, timedelta(0)):
            scene, redeem = at_the_door(world, others[0])
            world.clock.advance(seconds=1)
            world.clock.time -= early

            def work(worker: World) -> int:
                with worker.app.app_context():
                    job(worker)
                return 0

            calls = [redeem]
            calls += [partial(work, one) for one in others[1:]]
            status, *_ = at_once(calls)
            assert status == (303 if early else 409)  # at the expiry the hand-off's cookie is over, too
            request = world.request(scene.request_id)
            assert request.state == (State.ACTIVE if early else State.ENDED)
            assert events(scene.request_id).count("access.ending") == (0 if early else 1)


@pytest.fixture
def inside(world: World) -> Scene:
    """A support session a moment before it would be called idle."""
    scene = new_scene(world, State.ACTIVE)
    world.clock.advance(minutes=10)
    world.clock.time -= MOMENT
    return scene


@jobs
def test_p10_a_last_page_beats_the_job_that_waits_for_it(world: World, inside: Scene, job: Job) -> None:
    """The page is about to note that it was seen when the job comes: it finds the session idle, waits, and stops."""
    with workers(world, 2) as (one, other):
        browser = inside.browser(one)

        def work() -> None:
            world.clock.time += MOMENT
            job(other)

        last_page = (one, lambda: browser.get(f"{inside.base}/users").status_code)
        status, _ = overlap(last_page, (other, work), at=None)
    assert status == 200
    assert world.request(inside.request_id).state == State.ACTIVE
    assert "access.ending" not in events(inside.request_id)


@jobs
def test_p10_a_page_that_waits_for_the_job_is_not_served(world: World, inside: Scene, job: Job) -> None:
    """The job is about to commit the idle end when the page comes: it revives nothing, and leads to sign-in."""
    with workers(world, 2) as (one, other):
        browser = inside.browser(other)

        def late_page() -> int:
            world.clock.time -= MOMENT  # as early as it might have begun
            return browser.get(f"{inside.base}/users").status_code

        world.clock.time += MOMENT
        _, status = overlap((one, lambda: job(one)), (other, late_page), at="access.ending")
    assert status == 302
    assert world.request(inside.request_id).end_reason == EndReason.IDLE
    world.clock.advance(seconds=1)
    assert_nothing_left(world, inside)
