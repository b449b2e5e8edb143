"""Reads about the lease and the jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from scheduler import lease
from scheduler.due_times import in_words, next_due
from scheduler.models import JobRun, JobState, SchedulerLease
from tempadmin.db import db
from tempadmin.jobs import Job


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The process that runs jobs now."""

    holder: str
    since: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """How a job's latest run went; without ``outcome`` it is at work."""

    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    detail: str | None


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job as its page shows it."""

    name: str
    description: str
    schedule: str
    last_run: LastRun | None
    next_due: datetime


def leader(now: datetime) -> Leader | None:
    """Return who leads, or ``None`` while nobody does."""
    row = db.session.get(SchedulerLease, lease.NAME)
    if row is None or not lease.is_live(row.expires_at, now):
        return None
    return Leader(holder=row.holder, since=row.acquired_at, expires_at=row.expires_at)


def overdue(now: datetime) -> set[str]:
    """Return the names of all jobs whose due time has come."""
    return set(db.session.scalars(select(JobState.name).where(JobState.next_due_at <= now)))


def job_rows(registered: Iterable[Job], now: datetime) -> list[JobRow]:
    """Return the jobs by name, each with its latest run and its next due time."""
    newest = select(func.max(JobRun.id)).group_by(JobRun.job)
    last = {run.job: run for run in db.session.scalars(select(JobRun).where(JobRun.id.in_(newest)))}
    due = {state.name: state.next_due_at for state in db.session.scalars(select(JobState))}
    return [
        JobRow(
            name=job.name,
            description=job.description,
            schedule=in_words(job.schedule),
            last_run=_last_run(last[job.name]) if job.name in last else None,
            next_due=due.get(job.name) or next_due(job.schedule, now),
        )
        for job in sorted(registered, key=lambda one: one.name)
    ]


def _last_run(run: JobRun) -> LastRun:
    asked = f"asked for by {run.asked_by}" if run.asked_by else None
    said = " · ".join(part for part in (run.detail, asked) if part)
    return LastRun(started_at=run.started_at, finished_at=run.finished_at, outcome=run.outcome, detail=said or None)
