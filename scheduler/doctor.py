"""The check of what happens by itself: does somebody lead, and is anything late or failing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import select

from scheduler import lease, machines, queries
from scheduler.models import FAILED, JobState, SchedulerLease
from tempadmin.db import db
from tempadmin.doctor.findings import Check, Finding, checks, error, ok, warning
from tempadmin.jobs import jobs
from tempadmin.runtime import Runtime, application
from tempadmin.web.words import duration

OVERDUE_AFTER = timedelta(seconds=60)
START = {
    "embedded": "start tempadmin serve; its log says why when it runs already",
    "external": "start tempadmin scheduler run (the setting scheduler is external); its log says why when it runs",
}


def init_app(app: Flask) -> None:
    """Register the checks."""
    checks(app).extend([Check(name="scheduler", look=beat), Check(name="jobs", look=late_jobs)])


def beat(runtime: Runtime) -> Iterator[Finding]:
    """See when a leader last renewed its lease: without one nothing expires and nothing is removed."""
    now, start = runtime.now(), START[runtime.settings.scheduler]
    row = db.session.get(SchedulerLease, lease.NAME)
    if row is None:
        yield warning("nothing has run by itself yet", start)
        return
    last = row.expires_at - lease.LEASE
    if row.expires_at <= now:
        yield error(f"nobody leads since {_moment(row.expires_at)}: nothing expires, nothing is removed", start)
    elif last - now > lease.RENEW_EVERY:
        advice = "a clock was set back; whatever scheduler runs takes over within seconds"
        yield error(f"{row.host} holds the lease until {_moment(row.expires_at)}, longer than it can", advice)
    elif (rival := machines.other_host(runtime)) is not None:
        yield error(f"{rival.host} leads on this SQLite file, and this is {lease.this_host()}", machines.ADVICE)
    else:
        ago = duration(max(now - last, timedelta(0)))
        yield ok(f"{row.host} leads since {_moment(row.acquired_at)}, its last beat was {ago} ago")


def late_jobs(runtime: Runtime) -> Iterator[Finding]:
    """Name the jobs that are overdue, and those whose latest run failed."""
    now, known = runtime.now(), jobs(application())
    due = select(JobState).where(JobState.next_due_at <= now - OVERDUE_AFTER).order_by(JobState.name)
    late = [state for state in db.session.scalars(due) if state.name in known]
    for state in late:
        since = f"{state.name} was due at {_moment(state.next_due_at)} and has not begun"
        yield error(since, "see that a scheduler runs, and what its log says of this job")
    failed = [row for row in queries.job_rows(known.values(), now) if row.last_run and row.last_run.outcome == FAILED]
    for row in failed:
        if row.last_run is not None:
            at = f"{row.name} failed at {_moment(row.last_run.started_at)}: {row.last_run.detail}"
            yield warning(at, "the service's log says more; it runs again by itself")
    if not late and not failed:
        yield ok(f"none of {len(known)} jobs is late")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
