"""Runs: a due time is claimed once, the work is done outside any transaction, and how it went is written down (P14)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from flask import current_app
from sqlalchemy import delete, exists, or_, select, update

from scheduler import fencing, lease
from scheduler.due_times import next_due
from scheduler.models import DONE, FAILED, LOST, JobRun, JobState, SchedulerLease
from tempadmin.audit.log import Actor, record
from tempadmin.db import db, lock_or_make, retried_once, transaction
from tempadmin.errors import Conflict, NotFound, Unavailable
from tempadmin.jobs import Job, by_itself, jobs
from tempadmin.runtime import Runtime, application
from tempadmin.web.context import instance_source

KEPT_RUNS = 200
QUICK = timedelta(minutes=10)
"""Of jobs that run more often, a run that went well makes room for the next; what failed or was asked for stays."""
BY_HAND_AT_MOST = timedelta(minutes=10)
"""A run that somebody asked for and that has no end by then died with its process."""
LONGEST_DETAIL = 500
UNWRITTEN = "the database did not take down how it ended"
TOO_LATE = "its process lost the lease before it was done"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a run ended."""

    outcome: str
    detail: str


def run_if_due(
    job: Job, runtime: Runtime, *, epoch: int, holder: str, stopping: Callable[[], bool] = lambda: False
) -> Finished | None:
    """Run a job when it is due and nobody else claimed this due time.

    Parameters
    ----------
    epoch
        The lease under which this process leads; without it nothing is claimed.
    stopping
        Whether this process is about to stop; long work then begins no further step.

    Returns
    -------
    How it ended, ``None`` when there was nothing to do. A job that raises is a run that failed, not an error here.
    """
    due_at = db.session.scalar(select(JobState.next_due_at).where(JobState.name == job.name))
    if due_at is not None and due_at > runtime.now():
        return None
    run_id = _claim(job, runtime, epoch=epoch, holder=holder)
    if run_id is None:
        return None
    with by_itself(stopping):
        return _work(run_id, job, runtime, epoch=epoch)


def run_now(*, name: str, asked_by: Actor, runtime: Runtime) -> Finished:
    """Run a job because a person asks for it, in the caller's thread; its due times stay as they are.

    Raises
    ------
    NotFound
        When there is no such job.
    Conflict
        While a run of it is at work.
    """
    job = jobs(application()).get(name)
    if job is None:
        raise NotFound("There is no such job.")
    return _work(_claim_by_hand(job, asked_by, runtime), job, runtime)


@retried_once
def take_over(registered: Iterable[Job], runtime: Runtime, *, epoch: int) -> None:
    """Begin to lead: note the runs that died with their processes, and when each job is due by today's settings."""
    with transaction(as_service=True):
        if not lease.held(epoch, runtime):
            return
        now = runtime.now()
        lost = db.session.scalars(
            update(JobRun)
            .where(
                JobRun.finished_at.is_(None),
                or_(JobRun.epoch < epoch, JobRun.epoch.is_(None) & (JobRun.started_at <= now - BY_HAND_AT_MOST)),
            )
            .values(finished_at=now, outcome=LOST, detail="its process ended before it did")
            .returning(JobRun.job)
        ).all()
        for job in sorted(registered, key=lambda one: one.name):
            state, expected = _locked_state(job, now), next_due(job.schedule, now)
            # What is overdue stays so; a time to come that is not the schedule's belongs to an older setting.
            if state.next_due_at > now:
                state.next_due_at = expected
            state.runs_lost += lost.count(job.name)
    if lost:
        log.warning("job.lost", jobs=sorted(lost))


@retried_once
def keep_to_schedules(registered: Iterable[Job], runtime: Runtime, *, epoch: int) -> None:
    """While leading, take back due times that lie later than their schedule's next one: a clock was set back."""
    now = runtime.now()
    due = {state.name: state.next_due_at for state in db.session.scalars(select(JobState))}
    late = [job for job in registered if job.name in due and due[job.name] > next_due(job.schedule, now)]
    if not late:
        return
    with transaction(as_service=True):
        if not lease.held(epoch, runtime):
            return
        for job in sorted(late, key=lambda one: one.name):
            state = _locked_state(job, now)
            state.next_due_at = min(state.next_due_at, next_due(job.schedule, runtime.now()))


@retried_once
def _claim(job: Job, runtime: Runtime, *, epoch: int, holder: str) -> int | None:
    """Lock lease and state, read the clock, move the due time on; all of it or nothing."""
    with transaction(as_service=True):
        if not lease.held(epoch, runtime):
            return None
        state = _locked_state(job, runtime.now())
        now = runtime.now()
        due_at = state.next_due_at
        if due_at > now:
            return None
        state.next_due_at = next_due(job.schedule, now)
        if _was_run(job, due_at):
            return None
        # A process runs a job once at a time, so a run of ours without an end is one whose end could not be written.
        unwritten = update(JobRun).where(
            JobRun.job == job.name, JobRun.holder == holder, JobRun.epoch == epoch, JobRun.finished_at.is_(None)
        )
        lost = unwritten.values(finished_at=now, outcome=LOST, detail=UNWRITTEN).returning(JobRun.id)
        state.runs_lost += len(db.session.scalars(lost).all())
        return _begin(JobRun(job=job.name, due_at=due_at, epoch=epoch, holder=holder, started_at=now), job)


@retried_once
def _claim_by_hand(job: Job, asked_by: Actor, runtime: Runtime) -> int:
    with transaction():
        default = instance_source().default()
        if default is None:
            raise Unavailable("There is no default instance yet, so nobody could be held to account for this.")
        _locked_state(job, runtime.now())
        now = runtime.now()
        at_work = exists().where(
            JobRun.job == job.name, JobRun.finished_at.is_(None), JobRun.started_at > now - BY_HAND_AT_MOST
        )
        if db.session.scalar(select(at_work)) or _was_run(job, now):
            raise Conflict(f"{job.name} is at work already. Its page will say how it went.")
        record("job.started", instance_id=default.id, actor=asked_by, at=now, job=job.name)
        run = JobRun(job=job.name, due_at=now, holder=lease.new_holder(), started_at=now, asked_by=asked_by.name)
        return _begin(run, job)


def _locked_state(job: Job, now: datetime) -> JobState:
    return lock_or_make(JobState, job.name, next_due_at=next_due(job.schedule, now))


def _was_run(job: Job, due_at: datetime) -> bool:
    """Tell whether this moment has a run: a person's **Run now** can fall on a due time. The state's lock is held."""
    return bool(db.session.scalar(select(exists().where(JobRun.job == job.name, JobRun.due_at == due_at))))


def _begin(run: JobRun, job: Job) -> int:
    """Add a run and forget old ones, in the open transaction."""
    db.session.add(run)
    db.session.flush()
    mine = delete(JobRun).where(JobRun.job == job.name).execution_options(synchronize_session=False)
    if isinstance(job.schedule, timedelta) and job.schedule < QUICK:
        db.session.execute(mine.where(JobRun.outcome == DONE, JobRun.asked_by.is_(None)))
    newest = select(JobRun.id).where(JobRun.job == job.name).order_by(JobRun.id.desc())
    oldest_kept = newest.offset(KEPT_RUNS - 1).limit(1).scalar_subquery()
    db.session.execute(mine.where(JobRun.id < oldest_kept))
    return run.id


def _work(run_id: int, job: Job, runtime: Runtime, *, epoch: int | None = None) -> Finished:
    """Do the work in a context of its own: it acts as the service, whoever asked for it."""
    with structlog.contextvars.bound_contextvars(job=job.name):
        with fencing.under(epoch) as work:
            try:
                with current_app.app_context():
                    finished = Finished(outcome=DONE, detail=job.run(runtime)[:LONGEST_DETAIL])
            except Exception as error:
                # The kind of error is all that the page shows: its text may hold anything (P12).
                if not isinstance(error, fencing.Overtaken):
                    log.exception("job.failed", error=type(error).__name__)
                finished = Finished(outcome=FAILED, detail=type(error).__name__)
        if work is not None and work.overtaken:
            log.warning("job.overtaken", epoch=epoch)
            finished = Finished(outcome=LOST, detail=TOO_LATE)
    _finish(run_id, finished, runtime, epoch=epoch)
    return finished


@retried_once
def _finish(run_id: int, finished: Finished, runtime: Runtime, *, epoch: int | None) -> None:
    """Write down how it went; of a person's run the truth replaces a *lost* that a new leader noted too early."""
    ended = update(JobRun).where(JobRun.id == run_id)
    if epoch is not None:
        # Whoever has taken over has the word on this run, too.
        ours = exists().where(SchedulerLease.name == lease.NAME, SchedulerLease.epoch == epoch)
        ended = ended.where(JobRun.finished_at.is_(None), ours)
    with transaction(as_service=True):
        now = runtime.now()
        written = ended.values(finished_at=now, outcome=finished.outcome, detail=finished.detail)
        row = db.session.execute(
            written.returning(JobRun.job, JobRun.started_at), execution_options={"synchronize_session": False}
        ).one_or_none()
        if row is not None:
            _tally(row.job, finished.outcome, seconds=max(now - row.started_at, timedelta(0)).total_seconds())


def _tally(job: str, outcome: str, *, seconds: float) -> None:
    """Count a run that ended, in the open transaction: most of those that went well are not kept."""
    counts = {DONE: JobState.runs_done, FAILED: JobState.runs_failed, LOST: JobState.runs_lost}
    times = {DONE: JobState.seconds_done, FAILED: JobState.seconds_failed}
    counted = update(JobState).where(JobState.name == job).values({counts[outcome]: counts[outcome] + 1})
    if outcome in times:
        counted = counted.values({times[outcome]: times[outcome] + seconds})
    db.session.execute(counted, execution_options={"synchronize_session": False})
