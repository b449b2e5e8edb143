"""Once per due time, whatever happens."""

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from scheduler import lease, runs
from scheduler.models import JobRun, JobState
from tempadmin.db import db, transaction
from tempadmin.jobs import Job
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import NOON, FakeClock, at_once, does, make_job, rows

TEN_SECONDS = timedelta(seconds=10)
RUNS = select(JobRun).order_by(JobRun.id)


def lead(*known: Job, runtime: Runtime, holder: str = "me") -> int:
    epoch = lease.acquire(holder=holder, runtime=runtime, lasts=timedelta(days=400))
    assert epoch is not None
    runs.take_over(known, runtime, epoch=epoch)
    return epoch


def due_of(app: Flask) -> list[object]:
    return [state.next_due_at for state in rows(app, select(JobState))]


def test_a_job_runs_when_it_is_due_and_not_before(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """It is noon: a job of three o'clock runs at three, once, and is due again the day after."""
    job = make_job()
    epoch = lead(job, runtime=runtime)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    clock.advance(hours=15, microseconds=-1)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    clock.advance(microseconds=1)
    finished = runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    assert finished == runs.Finished(outcome="done", detail="tidied")
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    (run,) = rows(app, RUNS)
    assert (run.job, run.outcome, run.detail, run.epoch, run.holder) == ("tidy", "done", "tidied", 1, "me")
    assert run.due_at == run.started_at == run.finished_at == NOON + timedelta(hours=15)
    assert due_of(app) == [NOON + timedelta(days=1, hours=15)]


def test_p14_of_many_who_find_a_job_due_one_runs_it(app: Flask, clock: FakeClock) -> None:
    """Twenty-four threads with the leader's epoch, five due times: five runs."""
    done: list[object] = []
    job = make_job(does(lambda: done.append(clock.now())), schedule=TEN_SECONDS)
    with app.app_context():
        epoch = lead(job, runtime=current_runtime())
    for _ in range(5):
        clock.advance(seconds=10)
        got = at_once(app, lambda: runs.run_if_due(job, current_runtime(), epoch=epoch, holder="me"), threads=24)
        assert len([one for one in got if one]) == 1
    assert done == [NOON + n * TEN_SECONDS for n in range(1, 6)]


def test_p14_who_lost_the_lease_claims_nothing(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A leader that wakes up under an old epoch, or after its lease, does not begin a run."""
    job = make_job(schedule=TEN_SECONDS)
    old = lease.acquire(holder="old", runtime=runtime)
    assert old is not None
    clock.advance(seconds=20)
    assert runs.run_if_due(job, runtime, epoch=old, holder="old") is None
    new = lead(job, runtime=runtime, holder="new")
    clock.advance(seconds=10)
    assert runs.run_if_due(job, runtime, epoch=old, holder="old") is None
    assert rows(app, RUNS) == []
    assert runs.run_if_due(job, runtime, epoch=new, holder="new")


def test_p14_a_due_time_that_has_a_run_is_passed_over(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """Even if the state were lost or turned back, no due time is run a second time, and the job is not stuck."""
    job = make_job(schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    clock.advance(seconds=10)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    with transaction():
        db.session.execute(delete(JobState))
        db.session.add(JobState(name=job.name, next_due_at=NOON + TEN_SECONDS))
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    clock.advance(seconds=10)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")


def test_missed_due_times_are_one_run(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """After a week without a scheduler a job of every ten seconds runs once, and then in step again."""
    job = make_job(schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    clock.advance(days=7, seconds=3)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    assert due_of(app) == [NOON + timedelta(days=7, seconds=10)]


def test_p12_a_job_that_raises_is_a_failed_run_without_its_words(
    app: Flask, runtime: Runtime, clock: FakeClock, tmp_path: Path
) -> None:
    """The page says what kind of error it was; its text, which may hold anything, stays out of the database."""

    def work(_runtime: Runtime) -> str:
        raise RuntimeError("the password is verysecret")

    job = make_job(work, schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    for _ in range(2):
        clock.advance(seconds=10)
        with capture_logs() as logs:
            finished = runs.run_if_due(job, runtime, epoch=epoch, holder="me")
        assert finished == runs.Finished(outcome="failed", detail="RuntimeError")
        assert [(line["event"], line["error"]) for line in logs] == [("job.failed", "RuntimeError")]
    assert [(run.outcome, run.detail) for run in rows(app, RUNS)] == [("failed", "RuntimeError")] * 2
    assert all(b"verysecret" not in path.read_bytes() for path in tmp_path.glob("tempadmin.db*"))


def test_a_job_works_in_a_context_and_transaction_of_its_own(runtime: Runtime, clock: FakeClock) -> None:
    """What it read is not seen by whoever called it, and what it left open is closed."""
    seen: list[object] = []

    def work(_runtime: Runtime) -> str:
        seen.append(db.session())
        db.session.execute(select(JobState))
        with transaction(as_service=True):
            return "wrote"

    job = make_job(work, schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    clock.advance(seconds=10)
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    assert seen[0] is not db.session()


def test_a_run_whose_process_died_is_lost_at_the_next_take_over(app: Flask, clock: FakeClock) -> None:
    """Started and never finished: the next leader notes it, and goes on with the job."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_runtime: Runtime) -> str:
        begun.set()
        go_on.wait(20)
        return "did it after all"

    job = make_job(work, schedule=TEN_SECONDS)
    with app.app_context():
        runtime = current_runtime()
        epoch = lead(job, runtime=runtime)
        clock.advance(seconds=10)

        def first() -> None:
            with app.app_context():
                runs.run_if_due(job, runtime, epoch=epoch, holder="me")

        thread = threading.Thread(target=first)
        thread.start()
        assert begun.wait(20)
        clock.advance(days=401)
        with capture_logs() as logs:
            lead(job, runtime=runtime, holder="next")
        assert [line["jobs"] for line in logs if line["event"] == "job.lost"] == [["tidy"]]
        (run,) = rows(app, RUNS)
        assert (run.outcome, run.detail, run.finished_at) == ("lost", "its process ended before it did", clock.now())
        go_on.set()
        thread.join(20)
        # It was not dead but slow: whoever leads now has the word.
        assert [(run.outcome, run.detail) for run in rows(app, RUNS)] == [("lost", "its process ended before it did")]


def test_a_take_over_follows_the_schedule_of_today(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A due time to come gives way to a changed schedule; what is overdue stays so and runs at once."""
    lead(make_job(schedule="0 3 * * *"), runtime=runtime)
    hourly = make_job(schedule="0 * * * *")
    lead(hourly, runtime=runtime)
    assert due_of(app) == [NOON + timedelta(hours=1)]
    clock.advance(hours=5)
    epoch = lead(hourly, runtime=runtime)
    assert due_of(app) == [NOON + timedelta(hours=1)]
    assert runs.run_if_due(hourly, runtime, epoch=epoch, holder="me")


def test_the_last_two_hundred_runs_of_each_job_are_kept(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """Older ones go with each new one, other jobs' stay."""
    daily, other = make_job(schedule="0 0 * * *"), make_job(name="other", schedule="0 0 * * *")
    epoch = lead(daily, other, runtime=runtime)
    clock.advance(days=1)
    assert runs.run_if_due(other, runtime, epoch=epoch, holder="me")
    for _ in range(205):
        assert runs.run_if_due(daily, runtime, epoch=epoch, holder="me")
        clock.advance(days=1)
    kept = [run for run in rows(app, RUNS) if run.job == "tidy"]
    assert len(kept) == runs.KEPT_RUNS
    assert kept[-1].started_at == clock.now() - timedelta(days=1)
    assert len([run for run in rows(app, RUNS) if run.job == "other"]) == 1


def test_a_quick_job_leaves_one_good_run_and_every_bad_one(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """A job of every ten seconds does not fill the table, yet what went wrong can still be seen."""
    answers = iter(["fine", "fine", "", "fine", "fine", "fine"])
    job = make_job(lambda _runtime: next(answers) or str(1 // 0), schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    for _ in range(6):
        clock.advance(seconds=10)
        runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    assert [(run.outcome, run.detail) for run in rows(app, RUNS)] == [("failed", "ZeroDivisionError"), ("done", "fine")]


def test_looking_for_work_writes_nothing(tmp_path: Path, runtime: Runtime) -> None:
    """A job that is not due costs a read: it is answered although another holds the writer's lock."""
    job = make_job()
    epoch = lead(job, runtime=runtime)
    writer = sqlite3.connect(tmp_path / "tempadmin.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me") is None
    writer.close()


def test_a_claim_that_cannot_be_written_leaves_the_job_due(app: Flask, runtime: Runtime, clock: FakeClock) -> None:
    """Claim and run stand or fall together: after a refused insert the due time is still there."""
    job = make_job(schedule=TEN_SECONDS)
    epoch = lead(job, runtime=runtime)
    clock.advance(seconds=10)
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON job_runs BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    with pytest.raises(Exception, match="disk full"):
        runs.run_if_due(job, runtime, epoch=epoch, holder="me")
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")
    assert due_of(app) == [NOON + TEN_SECONDS]
    assert runs.run_if_due(job, runtime, epoch=epoch, holder="me")
