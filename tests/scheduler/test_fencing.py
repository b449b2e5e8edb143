"""A leader that wakes up past its lease writes nothing: each commit of its work proves that the lease still holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from structlog.testing import capture_logs

from instances.models import VirtualInstance
from scheduler import fencing, lease, runs
from scheduler.models import JobRun, JobState
from tempadmin.audit.log import Actor
from tempadmin.db import after_commit, db, transaction
from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import NOON, FakeClock, does, fill, make_app, make_job, rows

MINUTE = timedelta(minutes=1)
WRITTEN = select(VirtualInstance.web_id).where(~VirtualInstance.is_default).order_by(VirtualInstance.web_id)


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock, database_url: str | None) -> Iterator[Flask]:
    """An application on either database; there, a leader's job is due in a minute."""
    made = make_app(tmp_path, clock, **({} if database_url is None else {"database_url": database_url}))
    fill(made)
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def runtime(app: Flask) -> Iterator[Runtime]:
    with app.app_context():
        yield current_runtime()


def write(web_id: str) -> None:
    """One transaction of a job's work."""
    with transaction(as_service=True):
        db.session.add(VirtualInstance(web_id=web_id, name=web_id, virtual_hostname=f"{web_id}.x", created_at=NOON))


def run(work: Callable[[], object], runtime: Runtime, clock: FakeClock) -> runs.Finished | None:
    """Lead as *first*, and do this when the job is due."""
    job = make_job(lambda _runtime: str(work()), schedule=MINUTE)
    epoch = lead("first", job, runtime)
    clock.advance(minutes=1)
    assert lease.renew(holder="first", epoch=epoch, runtime=runtime)
    return runs.run_if_due(job, runtime, epoch=epoch, holder="first")


def lead(holder: str, job: Job, runtime: Runtime) -> int:
    epoch = lease.acquire(holder=holder, runtime=runtime)
    assert epoch is not None
    runs.take_over([job], runtime, epoch=epoch)
    return epoch


def overtake(app: Flask, clock: FakeClock) -> None:
    """A minute passes, and another process takes over, in a thread as in a context of its own."""
    clock.advance(minutes=1)

    def second() -> None:
        with app.app_context():
            lead("second", make_job(schedule=MINUTE), current_runtime())

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(20)


def test_p14_a_leader_that_was_overtaken_in_the_middle_of_a_job_commits_nothing_more(
    app: Flask, runtime: Runtime, clock: FakeClock
) -> None:
    """Not even work that goes on after each failure gets anything in, and the run stays as the next leader noted it."""
    refused: list[Exception] = []

    def work() -> None:
        write("before")
        overtake(app, clock)
        for attempt in ("after", "once-more"):
            try:
                write(attempt)
            except fencing.Overtaken as error:
                refused.append(error)

    with capture_logs() as logs:
        finished = run(work, runtime, clock)
    assert finished == runs.Finished(outcome="lost", detail=runs.TOO_LATE)
    assert len(refused) == 2
    assert rows(app, WRITTEN) == ["before"]
    assert [(one.outcome, one.detail) for one in rows(app, select(JobRun))] == [
        ("lost", "its process ended before it did")
    ]
    assert [line["epoch"] for line in logs if line["event"] == "job.overtaken"] == [1]
    assert "job.failed" not in {line["event"] for line in logs}


def test_p14_a_leader_whose_lease_lapsed_in_the_middle_of_a_transaction_does_not_commit_it(
    app: Flask, runtime: Runtime, clock: FakeClock
) -> None:
    """Nobody has taken over yet, but somebody may at any moment; the run is lost, and the next one does it."""

    def work() -> None:
        with transaction(as_service=True):
            db.session.add(VirtualInstance(web_id="a", name="A", virtual_hostname="a.x", created_at=NOON))
            clock.advance(seconds=20)

    assert run(work, runtime, clock) == runs.Finished(outcome="lost", detail=runs.TOO_LATE)
    assert rows(app, WRITTEN) == []
    assert [one.outcome for one in rows(app, select(JobRun))] == ["lost"]


def test_p14_what_follows_a_commit_is_fenced_too(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """An action that waits for the commit, a mail for one, is part of the work."""

    def afterwards() -> None:
        overtake(app, clock)
        write("afterwards")

    def work() -> None:
        with transaction(as_service=True):
            after_commit(afterwards)

    finished = run(work, runtime, clock)
    assert finished is not None
    assert finished.outcome == "lost"
    assert rows(app, WRITTEN) == []


def test_p14_work_within_the_lease_and_after_the_run_is_not_hindered(
    app: Flask, runtime: Runtime, clock: FakeClock
) -> None:
    """The fence stands around the run alone: what the same thread does later needs no lease."""
    finished = run(lambda: write("within"), runtime, clock)
    assert finished is not None
    assert finished.outcome == "done"
    clock.advance(hours=1)
    write("later")
    assert rows(app, WRITTEN) == ["later", "within"]


def test_a_run_that_a_person_asked_for_needs_no_lease(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """**Run now** works while nobody leads, and while leaders change."""
    register(app, make_job(does(lambda: write("by-hand")), schedule=MINUTE))
    finished = runs.run_now(name="tidy", asked_by=Actor(id=3, name="Ada Holt"), runtime=runtime)
    assert finished.outcome == "done"
    assert rows(app, WRITTEN) == ["by-hand"]


@pytest.mark.only_postgresql
def test_p14_a_take_over_waits_for_a_commit_that_was_let_through_and_a_heartbeat_does_not(
    app: Flask, runtime: Runtime, clock: FakeClock
) -> None:
    """So nothing of the old leader comes in after the new one begins, and nothing keeps a leader from its lease."""
    taken: list[int | None] = []
    beaten, took = threading.Event(), threading.Event()

    def beat() -> None:
        with app.app_context():
            assert lease.renew(holder="first", epoch=1, runtime=current_runtime())
            beaten.set()

    def take() -> None:
        with app.app_context():
            # It asks at a time when the lease is over; the transaction that waits was let through before.
            taken.append(lease.acquire(holder="second", runtime=current_runtime()))
            took.set()

    def work() -> None:
        with transaction(as_service=True) as session:
            db.session.add(VirtualInstance(web_id="a", name="A", virtual_hostname="a.x", created_at=NOON))
            fencing.refuse_when_overtaken(session)
            heart = threading.Thread(target=beat)
            heart.start()
            assert beaten.wait(3)
            heart.join(20)
            clock.advance(minutes=1)
            threads.append(threading.Thread(target=take))
            threads[0].start()
            assert not took.wait(0.5)
            clock.advance(minutes=-1)
        assert took.wait(20)

    threads: list[threading.Thread] = []
    finished = run(work, runtime, clock)
    threads[0].join(20)
    assert finished is not None
    assert rows(app, WRITTEN) == ["a"]
    assert taken in ([2], [None])


def test_a_due_time_beyond_the_schedule_is_taken_back(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A clock that was set back by ten minutes while we lead puts nothing off by ten minutes."""
    job = make_job(schedule=MINUTE)
    clock.advance(minutes=10)
    epoch = lead("first", job, runtime)
    clock.advance(minutes=-10)
    assert lease.renew(holder="first", epoch=epoch, runtime=runtime)
    runs.keep_to_schedules([job], runtime, epoch=epoch)
    assert [state.next_due_at for state in rows(app, select(JobState))] == [NOON + MINUTE]
