"""What is measured of the scheduler and its jobs: from the tables, so every machine tells the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from scheduler import lease, queries
from scheduler.models import DONE, FAILED, LOST, JobState, SchedulerLease
from tempadmin.db import db
from tempadmin.jobs import jobs
from tempadmin.metrics.registry import Figure, Reading, registry
from tempadmin.runtime import Runtime, application

LEADS = Figure(name="tempadmin_scheduler_leads", help="Whether a scheduler holds the lease.")
HEARTBEAT = Figure(
    name="tempadmin_scheduler_heartbeat_age_seconds", help="How long ago the lease was renewed; absent if never."
)
TAKE_OVERS = Figure(name="tempadmin_scheduler_take_overs_total", help="How often a scheduler began to lead.")
# Not `job`: under that name Prometheus keeps its own.
OUTCOMES = ("job_name", "outcome")
RUNS = Figure(name="tempadmin_job_runs_total", help="Runs of jobs that ended, by outcome.", labels=OUTCOMES)
SECONDS = Figure(name="tempadmin_job_run_seconds_total", help="How long they worked.", labels=OUTCOMES)
FAILING = Figure(name="tempadmin_job_failing", help="Whether a job's latest run failed.", labels=("job_name",))
OVERDUE = Figure(name="tempadmin_job_overdue_seconds", help="For how long a job has been due.", labels=("job_name",))


def init_app(app: Flask) -> None:
    """Register the sources."""
    registry(app).sources.extend([read_lease, read_jobs])


def read_lease(runtime: Runtime) -> Iterator[Reading]:
    """Tell who leads, without a name."""
    row, now = db.session.get(SchedulerLease, lease.NAME), runtime.now()
    yield LEADS.of(float(row is not None and row.expires_at > now))
    yield TAKE_OVERS.of(row.epoch if row else 0)
    if row is not None:
        yield HEARTBEAT.of(_seconds(now - (row.expires_at - lease.LEASE)))


def read_jobs(runtime: Runtime) -> Iterator[Reading]:
    """Tell how the jobs of this version fared."""
    known, now = jobs(application()), runtime.now()
    states = [one for one in db.session.scalars(select(JobState).order_by(JobState.name)) if one.name in known]
    counted: dict[tuple[str, ...], float] = {}
    worked: dict[tuple[str, ...], float] = {}
    for one in states:
        counted |= {
            (one.name, DONE): one.runs_done,
            (one.name, FAILED): one.runs_failed,
            (one.name, LOST): one.runs_lost,
        }
        worked |= {(one.name, DONE): one.seconds_done, (one.name, FAILED): one.seconds_failed}
    yield RUNS.of(counted)
    yield SECONDS.of(worked)
    yield OVERDUE.of({(one.name,): _seconds(now - one.next_due_at) for one in states})
    rows = queries.job_rows(known.values(), now)
    yield FAILING.of({(row.name,): float(row.last_run is not None and row.last_run.outcome == FAILED) for row in rows})


def _seconds(passed: timedelta) -> float:
    return max(passed, timedelta(0)).total_seconds()
