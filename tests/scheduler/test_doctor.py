"""The doctor asks who leads, and what is late."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from scheduler import lease, runs
from scheduler.models import JobState
from tempadmin.db import db, transaction
from tempadmin.doctor.findings import Line, checks, examine
from tempadmin.jobs import jobs
from tempadmin.runtime import Runtime, current_runtime
from tests.scheduler.world import FakeClock, make_app, make_job


def found(app: Flask) -> list[tuple[str, str, str]]:
    """Check, level, and words of what the scheduler's own checks say."""
    with app.app_context():
        own = [check for check in checks(app) if check.name in ("scheduler", "jobs")]
        lines = list(examine(own, current_runtime()))
    return [(line.check, str(line.finding.level), words(line)) for line in lines]


def words(line: Line) -> str:
    return f"{line.finding.message} – {line.finding.advice}"


def lead(app: Flask) -> int:
    with app.app_context():
        epoch = lease.acquire(holder="here", runtime=current_runtime())
        assert epoch is not None
        runs.take_over(jobs(app).values(), current_runtime(), epoch=epoch)
        return epoch


def test_a_leader_that_beats_is_well(app: Flask, clock: FakeClock) -> None:
    """With the time since its last beat."""
    lead(app)
    clock.advance(seconds=4)
    (beat, late) = found(app)
    assert beat[:2] == ("scheduler", "ok")
    assert "its last beat was 4 s ago" in beat[2]
    assert late[:2] == ("jobs", "ok")


def test_without_any_leader_it_says_what_to_start(app: Flask) -> None:
    """Nothing has ever run."""
    (beat, _) = found(app)
    assert beat[:2] == ("scheduler", "warning")
    assert "start tempadmin serve" in beat[2]


def test_a_leader_that_is_gone_is_named(app: Flask, clock: FakeClock) -> None:
    """From the moment on when its lease lapsed, and what to start depends on the settings."""
    lead(app)
    clock.advance(seconds=19)
    assert found(app)[0][1] == "ok"
    clock.advance(seconds=1)
    (beat, _) = found(app)
    assert beat[:2] == ("scheduler", "error")
    assert "nobody leads since 2026-11-03 12:00:20 UTC" in beat[2]


def test_what_to_start_depends_on_the_settings(app: Flask, clock: FakeClock) -> None:
    """With `external` it is the scheduler's own command."""
    with app.app_context():
        data = current_runtime().settings.data
    external = make_app(data, clock, scheduler="external")
    assert "start tempadmin scheduler run" in found(external)[0][2]


def test_a_lease_from_the_future_is_named(app: Flask, clock: FakeClock) -> None:
    """A clock was set back: nobody can lead before that time comes."""
    lead(app)
    clock.advance(hours=-1)
    (beat, _) = found(app)
    assert beat[:2] == ("scheduler", "error")
    assert "a clock was set back" in beat[2]


def test_a_job_that_is_overdue_is_named(app: Flask, clock: FakeClock) -> None:
    """After a minute; a job that this version no longer has is nobody's fault."""
    jobs(app)["tidy"] = make_job(schedule="0 13 * * *")
    epoch = lead(app)
    with app.app_context(), transaction() as session:
        session.add(JobState(name="forgotten", next_due_at=clock.now()))
    clock.advance(hours=1, seconds=59)
    with app.app_context():
        lease.renew(holder="here", epoch=epoch, runtime=current_runtime())
    assert found(app)[1][1] == "ok"
    clock.advance(seconds=1)
    (_, late) = found(app)
    assert late[:2] == ("jobs", "error")
    assert "tidy was due at 2026-11-03 13:00:00 UTC and has not begun" in late[2]


def test_a_job_that_failed_is_named_until_it_succeeds(app: Flask, clock: FakeClock) -> None:
    """By its latest run."""
    broken = [True]

    def work(_runtime: Runtime) -> str:
        if broken:
            raise OSError(broken.pop())
        return "done"

    jobs(app)["tidy"] = job = make_job(work, schedule=timedelta(seconds=10))
    epoch = lead(app)
    for level in ("warning", "ok"):
        clock.advance(seconds=10)
        with app.app_context():
            assert lease.renew(holder="here", epoch=epoch, runtime=current_runtime())
            runs.run_if_due(job, current_runtime(), epoch=epoch, holder="here")
            db.session.remove()
        (_, late) = found(app)
        assert late[:2] == ("jobs", level)
        assert "tidy failed at 2026-11-03 12:00:10 UTC: OSError" in late[2] or level == "ok"
