"""The process: APScheduler keeps the time, the lease says whether we act on it.

Embedded, each web worker starts one after its fork; alone, ``tempadmin scheduler run`` is one. APScheduler's jobs live
in memory only and hold no due times: they ask ``run_if_due``, which asks our tables. It waits by the machine's wall
clock, which can be set back by an hour; so the heartbeat has a thread of its own on a steady clock, and wakes whatever
is overdue.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from scheduler import lease, machines, queries, runs
from scheduler.due_times import DueTimes
from tempadmin.clock import SystemClock, steady_seconds
from tempadmin.jobs import Stopper, background, beats, before_serving, jobs
from tempadmin.runtime import Runtime, current_runtime

HEARTBEAT = "heartbeat"
MOST_AT_ONCE = 8
GRACE = timedelta(seconds=10)
COMPLAIN_AGAIN_SECONDS = 60.0

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Add this process to what ``tempadmin serve`` starts in each worker when the scheduler is embedded."""
    before_serving(app).append(machines.refuse_a_second)
    background(app).append(start)


def start(app: Flask) -> Stopper:
    """Start a scheduler in threads of this process; return what stops it. Call it after the fork."""
    process = SchedulerProcess(app)
    process.start()
    return process.stop


def run_forever(app: Flask) -> None:
    """Run a scheduler until SIGTERM or SIGINT."""
    signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread exists, so all inherit it and the signal waits here for whoever asks.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        stop = start(app)
        signal.sigwait(signals)
        stop()
        # Asked twice (a supervisor that signals process and group does), we stop once and still give the lease back.
        while signal.sigpending() & signals:
            signal.sigwait(signals)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SchedulerProcess:
    """One candidate for the lease, and what it runs while it leads.

    Parameters
    ----------
    lasts, renew_every, host
        The lease's length, the pause between two heartbeats, and this machine's name; others in tests.
    """

    def __init__(
        self,
        app: Flask,
        *,
        lasts: timedelta = lease.LEASE,
        renew_every: timedelta = lease.RENEW_EVERY,
        host: str | None = None,
    ) -> None:
        self._host = host or lease.this_host()
        self.holder = lease.new_holder(self._host)
        self._app, self._lasts, self._renew_every = app, lasts, renew_every
        self._jobs = dict(jobs(app))
        self._epoch: int | None = None
        self._changed = threading.Condition()
        self._at_work: set[str] = set()
        self._stopping = False
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            executors={
                "default": ThreadPoolExecutor(min(len(self._jobs), MOST_AT_ONCE) or 1, {"thread_name_prefix": "job"}),
            },
        )
        # Of its own: jobs that take long must not keep the lease from being renewed.
        self._heart = threading.Thread(target=self._beat_on, name=HEARTBEAT, daemon=True)
        self._enough = threading.Event()
        self._complained = float("-inf")
        self._scheduler.add_listener(_log_error, EVENT_JOB_ERROR)

    @property
    def leads(self) -> bool:
        """Whether this process held the lease at its last heartbeat."""
        return self._epoch is not None

    @property
    def stopped(self) -> bool:
        """Whether ``stop()`` was called; nothing new begins from then on."""
        return self._stopping

    def start(self) -> None:
        """Start the threads; the first heartbeat is at once.

        Raises
        ------
        ValueError
            When a job's schedule is nonsense.
        """
        # Its own words go past our redaction (P12); errors are logged by the listener, skipped runs are no news.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        with self._app.app_context():
            clock = current_runtime().clock
        for name, job in self._jobs.items():
            self._scheduler.add_job(self._run, DueTimes(job.schedule, clock), args=(name,), id=name)
        self._scheduler.start()
        self._heart.start()
        log.info("scheduler.started", holder=self.holder, jobs=sorted(self._jobs))
        self._say_whether_cleanup_is_enabled()

    def stop(self, *, grace: timedelta = GRACE) -> None:
        """Begin nothing new, let what runs finish for a while, do a last beat's work, give the lease back."""
        with self._changed:
            self._stopping = True
            self._enough.set()
            idle = self._changed.wait_for(lambda: not self._at_work, timeout=grace.total_seconds())
        self._scheduler.shutdown(wait=False)
        if not idle:
            # The lease is left to lapse: whoever takes over too early would do the same work a second time.
            log.warning("scheduler.left_at_work", holder=self.holder, jobs=sorted(self._at_work))
        elif self._epoch is not None:
            self._give_back(self._epoch)
        log.info("scheduler.stopped", holder=self.holder)

    def _beat_on(self) -> None:
        while True:
            try:
                self._beat()
            except Exception as error:
                log.exception("scheduler.error", job=HEARTBEAT, error=type(error).__name__)
            if self._enough.wait(self._renew_every.total_seconds()):
                return

    def _beat(self) -> None:
        """Keep the lease or try to get it; while we lead, wake what is overdue."""
        with self._working(HEARTBEAT) as may_work:
            if not may_work:
                return
            with self._app.app_context():
                runtime = current_runtime()
                for look in beats(self._app):
                    look(runtime)
                if self._epoch is not None and not lease.renew(
                    holder=self.holder, epoch=self._epoch, runtime=runtime, lasts=self._lasts
                ):
                    log.warning("scheduler.lease_lost", holder=self.holder, epoch=self._epoch)
                    self._epoch = None
                if self._epoch is None:
                    epoch = lease.acquire(holder=self.holder, runtime=runtime, lasts=self._lasts, host=self._host)
                    if epoch is None:
                        self._complain_of_another_machine(runtime)
                        return
                    runs.take_over(self._jobs.values(), runtime, epoch=epoch)
                    self._epoch = epoch
                    log.info("scheduler.leads", holder=self.holder, epoch=epoch)
                runs.keep_to_schedules(self._jobs.values(), runtime, epoch=self._epoch)
                # On every beat, not only the first: a claim that failed (a full disk, a locked database) is repeated
                # now, and not a day later.
                for name in queries.overdue(runtime.now()) & (self._jobs.keys() - self._at_work):
                    self._scheduler.modify_job(name, next_run_time=SystemClock().now())

    def _run(self, name: str) -> None:
        with self._working(name) as may_work:
            epoch = self._epoch
            if not may_work or epoch is None:
                return
            with self._app.app_context():
                runs.run_if_due(
                    self._jobs[name],
                    current_runtime(),
                    epoch=epoch,
                    holder=self.holder,
                    stopping=lambda: self._stopping,
                )

    @contextmanager
    def _working(self, name: str) -> Iterator[bool]:
        """Let ``stop()`` wait for this; false once it has begun."""
        with self._changed:
            may_work = not self._stopping
            if may_work:
                self._at_work.add(name)
        try:
            yield may_work
        finally:
            with self._changed:
                self._at_work.discard(name)
                self._changed.notify_all()

    def _complain_of_another_machine(self, runtime: Runtime) -> None:
        rival = machines.other_host(runtime, host=self._host)
        if rival is not None and steady_seconds() - self._complained >= COMPLAIN_AGAIN_SECONDS:
            self._complained = steady_seconds()
            log.error("scheduler.two_machines", host=self._host, leads=rival.host, advice=machines.ADVICE)

    def _give_back(self, epoch: int) -> None:
        try:
            with self._app.app_context():
                for look in beats(self._app):
                    look(current_runtime())
                lease.release(holder=self.holder, epoch=epoch, runtime=current_runtime())
        except Exception as error:
            log.exception("scheduler.lease_not_released", error=type(error).__name__)

    def _say_whether_cleanup_is_enabled(self) -> None:
        with self._app.app_context():
            settings = current_runtime().settings
        if settings.cleanup_enabled or "cleanup" in self._jobs:
            log.info("scheduler.cleanup", enabled=settings.cleanup_enabled, schedule=settings.cleanup_schedule)


def _log_error(event: JobExecutionEvent) -> None:
    """Log what a claim raised; it is tried again at its next turn."""
    log.error("scheduler.error", job=event.job_id, error=type(event.exception).__name__, exc_info=event.exception)
