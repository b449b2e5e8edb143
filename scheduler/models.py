"""The scheduler's lease, when each job is due, and its runs: data and constraints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tempadmin.db import Base
from tempadmin.moments import UtcDateTime

DONE, FAILED, LOST = "done", "failed", "lost"


class SchedulerLease(Base):
    """Who may run jobs now; one row."""

    __tablename__ = "scheduler_leases"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    """Unique per process, never used twice."""
    host: Mapped[str] = mapped_column(String(255))
    epoch: Mapped[int]
    """Grows with each take-over: whoever still works under an older one is refused (fencing)."""
    acquired_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class JobState(Base):
    """When a job is due next; its row is the lock of the job's runs."""

    __tablename__ = "job_states"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    next_due_at: Mapped[datetime] = mapped_column(UtcDateTime)

    # Tallies, since most rows of runs that went well are not kept.
    runs_done: Mapped[int] = mapped_column(default=0, server_default="0")
    runs_failed: Mapped[int] = mapped_column(default=0, server_default="0")
    runs_lost: Mapped[int] = mapped_column(default=0, server_default="0")
    seconds_done: Mapped[float] = mapped_column(default=0.0, server_default="0")
    seconds_failed: Mapped[float] = mapped_column(default=0.0, server_default="0")


class JobRun(Base):
    """One run of one job; no outcome while it is at work."""

    __tablename__ = "job_runs"
    __table_args__ = (
        CheckConstraint("outcome IN ('done', 'failed', 'lost')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished"),
        # Once per due time (P14): what the locks let pass by mistake fails here.
        Index("uq_job_runs_job_due_at", "job", "due_at", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(60))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    epoch: Mapped[int | None]
    """The lease under which it was claimed; ``None`` when a person asked for it."""
    holder: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(10))
    detail: Mapped[str | None] = mapped_column(String(500))
    asked_by: Mapped[str | None] = mapped_column(String(400))
    """The name of the person who pressed **Run now**."""
