"""The process in threads of the test's own: it leads, it survives what its jobs do, it stops in an orderly way."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update
from structlog.testing import capture_logs

from scheduler.models import JobRun, JobState, SchedulerLease
from scheduler.process import SchedulerProcess
from tempadmin.db import db, transaction
from tempadmin.jobs import background, register
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import does, fill, make_app, make_job, rows, wait_for

Start = Callable[..., SchedulerProcess]
SECOND = timedelta(seconds=1)
RUNS = select(JobRun).order_by(JobRun.id)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An application by the machine's clock: APScheduler knows no other."""
    made = make_app(tmp_path)
    fill(made)
    return made


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes with quick heartbeats, and stops what still runs."""
    started: list[SchedulerProcess] = []

    def start_one(app: Flask, *, lasts: timedelta = timedelta(seconds=20)) -> SchedulerProcess:
        one = SchedulerProcess(app, lasts=lasts, renew_every=timedelta(milliseconds=200))
        one.start()
        started.append(one)
        return one

    yield start_one
    for one in started:
        if not one.stopped:
            one.stop()


def lease_row(app: Flask) -> SchedulerLease:
    (row,) = rows(app, select(SchedulerLease))
    return row


def sql(app: Flask, statement: str) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_a_process_leads_and_runs_its_jobs(app: Flask, start: Start) -> None:
    """Soon after its start it holds the lease, and a job of every second runs at whole seconds."""
    ran = threading.Semaphore(0)
    register(app, make_job(does(ran.release), schedule=SECOND))
    one = start(app)
    for _ in range(3):
        assert ran.acquire(timeout=20)
    assert one.leads
    assert lease_row(app).holder == one.holder
    wait_for(lambda: rows(app, RUNS)[-1].outcome == "done")
    (run,) = rows(app, RUNS)
    assert run.due_at.microsecond == 0


def test_what_is_overdue_runs_when_a_leader_comes(app: Flask, start: Start) -> None:
    """A daily job that was due while nobody led runs at once, one time, and not a day later."""
    ran = threading.Event()
    register(app, make_job(does(ran.set), schedule="0 3 * * *"))
    with app.app_context(), transaction():
        db.session.add(JobState(name="tidy", next_due_at=datetime(2026, 1, 1, 3, tzinfo=UTC)))
    start(app)
    assert ran.wait(20)
    wait_for(lambda: [run.outcome for run in rows(app, RUNS)] == ["done"])


def test_a_claim_that_failed_is_tried_again_at_the_next_heartbeat(app: Flask, start: Start) -> None:
    """A full disk at three o'clock does not put the daily sweep off to the next day."""
    register(app, make_job(schedule="0 3 * * *"))
    one = start(app)
    wait_for(lambda: one.leads)
    sql(app, "CREATE TRIGGER refuse BEFORE INSERT ON job_runs BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with capture_logs() as logs:
        with app.app_context(), transaction():
            db.session.execute(update(JobState).values(next_due_at=current_runtime().now()))
        wait_for(lambda: any(line["event"] == "scheduler.error" and line["job"] == "tidy" for line in logs))
        sql(app, "DROP TRIGGER refuse")
        wait_for(lambda: [run.outcome for run in rows(app, RUNS)] == ["done"])


def test_two_processes_have_one_leader_and_an_orderly_stop_hands_over(app: Flask, start: Start, tmp_path: Path) -> None:
    """The follower takes over with its next heartbeat, long before the lease would have lapsed."""
    one, two = start(app), start(make_app(tmp_path))
    wait_for(lambda: one.leads or two.leads)
    first, second = (one, two) if one.leads else (two, one)
    assert not second.leads
    first.stop()
    wait_for(lambda: second.leads, seconds=10)
    assert (lease_row(app).holder, lease_row(app).epoch) == (second.holder, 2)


def test_a_leader_that_was_overtaken_notices(app: Flask, start: Start) -> None:
    """Its next heartbeat finds another's name in the lease: it no longer leads, and says so."""
    one = start(app)
    wait_for(lambda: one.leads)
    with capture_logs() as logs:
        with app.app_context(), transaction():
            db.session.execute(update(SchedulerLease).values(holder="another", epoch=7))
        wait_for(lambda: not one.leads)
        wait_for(lambda: any(line["event"] == "scheduler.lease_lost" for line in logs))


def test_no_failure_kills_the_process(app: Flask, start: Start) -> None:
    """A job that raises each time, and a table that is gone for a while: both are logged, and it goes on."""
    calls: list[int] = []

    def work(_runtime: Runtime) -> str:
        calls.append(1)
        raise SystemError("no secret of ours")

    register(app, make_job(work, schedule=SECOND))
    with capture_logs() as logs:
        one = start(app)
        wait_for(lambda: len(calls) >= 2)
        sql(app, "ALTER TABLE scheduler_leases RENAME TO away")
        wait_for(lambda: any(line["event"] == "scheduler.error" and line["job"] == "heartbeat" for line in logs))
        sql(app, "ALTER TABLE away RENAME TO scheduler_leases")
        before, renewed = len(calls), lease_row(app).expires_at
        wait_for(lambda: len(calls) > before and lease_row(app).expires_at > renewed)
    assert one.leads
    assert {line["error"] for line in logs if line["event"] == "job.failed"} == {"SystemError"}


def test_a_stop_lets_a_job_finish(app: Flask, start: Start) -> None:
    """What runs is waited for, its outcome is written, and only then is the lease given back."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_runtime: Runtime) -> str:
        begun.set()
        assert go_on.wait(20)
        return "finished"

    register(app, make_job(work, schedule=SECOND))
    one = start(app)
    assert begun.wait(20)
    stopping = threading.Thread(target=one.stop)
    stopping.start()
    wait_for(lambda: one.stopped)
    with app.app_context():
        assert lease_row(app).expires_at > current_runtime().now()
    go_on.set()
    stopping.join(20)
    assert [(run.outcome, run.detail) for run in rows(app, RUNS)] == [("done", "finished")]
    with app.app_context():
        assert lease_row(app).expires_at <= current_runtime().now()


def test_a_job_that_does_not_finish_keeps_the_lease_until_it_lapses(app: Flask, start: Start) -> None:
    """A stop waits for a while only, and then gives nobody the chance to do the same work at the same time."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_runtime: Runtime) -> str:
        begun.set()
        assert go_on.wait(20)
        return "late"

    register(app, make_job(work, schedule=SECOND))
    one = start(app)
    assert begun.wait(20)
    with capture_logs() as logs:
        one.stop(grace=timedelta(milliseconds=50))
    assert [line["jobs"] for line in logs if line["event"] == "scheduler.left_at_work"] == [["tidy"]]
    with app.app_context():
        assert lease_row(app).expires_at > current_runtime().now()
    go_on.set()
    wait_for(lambda: [run.outcome for run in rows(app, RUNS)] == ["done"])


def test_a_long_job_does_not_keep_the_lease_from_being_renewed(app: Flask, start: Start) -> None:
    """While the only worker thread is busy for longer than the lease lasts, the process still leads."""
    begun, go_on = threading.Event(), threading.Event()
    register(app, make_job(does(begun.set, lambda: go_on.wait(20)), schedule=SECOND))
    one = start(app, lasts=SECOND)
    assert begun.wait(20)
    first = lease_row(app).expires_at
    wait_for(lambda: lease_row(app).expires_at > first + 2 * SECOND, seconds=10)
    assert one.leads
    assert lease_row(app).epoch == 1
    go_on.set()


def test_a_module_s_background_work_is_one_that_starts_and_stops(app: Flask) -> None:
    """What `tempadmin serve` finds in the registry starts a process after the fork, and hands back its stop."""
    (starter,) = background(app)
    stop = starter(app)
    wait_for(lambda: rows(app, select(SchedulerLease)))
    stop()
    with app.app_context():
        assert lease_row(app).expires_at <= current_runtime().now()


def test_nonsense_in_a_schedule_stops_the_start(app: Flask) -> None:
    """A job that could never run is not passed over in silence."""
    register(app, make_job(schedule="0 3 30 2 *"))
    with pytest.raises(ValueError, match="never comes"):
        SchedulerProcess(app).start()


@pytest.mark.parametrize("enabled", [False, True])
def test_the_log_says_whether_cleanup_is_enabled(tmp_path: Path, start: Start, enabled: bool) -> None:  # noqa: FBT001
    """One line at the start, when there is such a job; none where on-demand access was left out."""
    without, app = make_app(tmp_path), make_app(tmp_path, cleanup_enabled=enabled)
    fill(app)
    register(app, make_job(name="cleanup"))
    with capture_logs() as logs:
        start(without)
        assert not [line for line in logs if line["event"] == "scheduler.cleanup"]
        start(app)
    (line,) = [line for line in logs if line["event"] == "scheduler.cleanup"]
    assert (line["enabled"], line["schedule"]) == (enabled, "0 3 * * *")
