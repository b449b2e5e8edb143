"""**Run now**: by a person, on the record, beside the due times."""

import json
import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from scheduler import lease, runs
from scheduler.models import JobRun, JobState
from tempadmin.audit import queries as audit
from tempadmin.audit.log import Actor
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db
from tempadmin.errors import Conflict, NotFound
from tempadmin.jobs import register
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import NOON, FakeClock, at_once, does, make_job, rows

ADA = Actor(id=3, name="Ada Holt")
RUNS = select(JobRun).order_by(JobRun.id)


def test_p13_a_run_that_somebody_asks_for_is_on_the_record(app: Flask, runtime: Runtime) -> None:
    """It runs in the caller's thread, bears the person's name, and stands in the default instance's chain."""
    threads: list[int] = []
    register(app, make_job(does(lambda: threads.append(threading.get_ident()))))
    finished = runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    assert finished == runs.Finished(outcome="done", detail="did it")
    assert threads == [threading.get_ident()]
    (run,) = rows(app, RUNS)
    assert (run.outcome, run.asked_by, run.due_at, run.epoch) == ("done", "Ada Holt", NOON, None)
    (event,) = rows(app, select(AuditEvent))
    assert (event.event, event.actor_name, json.loads(event.details)) == ("job.started", "Ada Holt", {"job": "tidy"})
    assert list(audit.verify(instance_id=event.instance_id, runtime=runtime)) == []


def test_p13_no_audit_no_run(app: Flask, runtime: Runtime) -> None:
    """When the event cannot be written, nothing is claimed and nothing runs."""
    ran: list[int] = []
    register(app, make_job(does(lambda: ran.append(1))))
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(IntegrityError, match="disk full"):
        runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    assert ran == rows(app, RUNS) == []


def test_a_job_that_nobody_knows_is_not_found(runtime: Runtime) -> None:
    """The page answers 404 for it."""
    with pytest.raises(NotFound):
        runs.run_now(name="none", asked_by=ADA, runtime=runtime)


def test_run_now_leaves_the_due_times_alone(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A job that was run by hand an hour before is still run when it is due."""
    job = make_job(schedule="0 * * * *")
    register(app, job)
    epoch = lease.acquire(holder="me", runtime=runtime, lasts=timedelta(days=1))
    assert epoch is not None
    runs.take_over([job], runtime, epoch=epoch)
    clock.advance(minutes=30)
    runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    assert [state.next_due_at for state in rows(app, select(JobState))] == [NOON + timedelta(hours=1)]
    clock.advance(minutes=30)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    assert [run.asked_by for run in rows(app, RUNS)] == ["Ada Holt", None]


def test_p14_a_run_by_hand_at_the_very_due_time_is_that_run(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """Who presses the button in the microsecond in which the job is due has run it, and the next one comes as ever."""
    job = make_job(schedule="0 * * * *")
    register(app, job)
    epoch = lease.acquire(holder="me", runtime=runtime, lasts=timedelta(days=1))
    assert epoch is not None
    runs.take_over([job], runtime, epoch=epoch)
    clock.advance(hours=1)
    runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    clock.advance(hours=1)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")


def test_p14_two_runs_by_hand_have_two_moments(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A second press in the same microsecond is refused as politely as one during the run."""
    register(app, make_job())
    runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    with pytest.raises(Conflict):
        runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    clock.advance(microseconds=1)
    runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    assert len(rows(app, RUNS)) == 2


def test_of_many_who_press_at_once_one_runs_the_job(app: Flask) -> None:
    """While a run is at work the others are told so, and nothing is put on the record for them."""
    go_on = threading.Event()
    register(app, make_job(does(lambda: go_on.wait(20))))
    refused = threading.Semaphore(0)

    def press() -> str:
        try:
            return runs.run_now(name="tidy", asked_by=ADA, runtime=current_runtime()).outcome
        except Conflict:
            refused.release()
            return "refused"

    def let_go() -> None:
        for _ in range(7):
            refused.acquire(timeout=20)
        go_on.set()

    releaser = threading.Thread(target=let_go)
    releaser.start()
    assert sorted(at_once(app, press, threads=8)) == ["done", *["refused"] * 7]
    releaser.join(20)
    assert len(rows(app, select(AuditEvent))) == 1


def test_a_run_by_hand_that_died_blocks_for_ten_minutes_only(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A worker that ends in the middle leaves a run without an end: after a while the job can be asked for again."""
    ends = iter([True])

    def work(_runtime: Runtime) -> str:
        if next(ends, False):
            raise SystemExit
        return "tidied"

    job = make_job(work)
    register(app, job)
    with pytest.raises(SystemExit):
        runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    clock.advance(minutes=9)
    with pytest.raises(Conflict):
        runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    clock.advance(minutes=1)
    runs.run_now(name="tidy", asked_by=ADA, runtime=runtime)
    epoch = lease.acquire(holder="me", runtime=runtime)
    assert epoch is not None
    runs.take_over([job], runtime, epoch=epoch)
    assert [run.outcome for run in rows(app, RUNS)] == ["lost", "done"]
