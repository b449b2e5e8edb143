"""Fencing: what a leader still writes after it lost its lease is refused by the database (P14).

A process can be stopped for a minute in the middle of a job, and knows nothing of it when it goes on. So whatever the
work of a claimed run commits, what follows a commit included, first proves that its lease still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from scheduler.lease import NAME, give_up_when_stopped
from scheduler.models import SchedulerLease
from tempadmin.db import before_commit
from tempadmin.errors import Conflict
from tempadmin.runtime import current_runtime


class Overtaken(Conflict):
    """The lease under which this work began is over: nothing more of it is committed."""


@dataclass
class Work:
    """The work of one claimed run; ``overtaken`` once a commit of it was refused."""

    epoch: int
    overtaken: bool = False


_at_work: ContextVar[Work | None] = ContextVar("work", default=None)


def init_app(app: Flask) -> None:
    """Check before every commit, ahead of all that locks sessions and audit heads."""
    before_commit(app).insert(0, refuse_when_overtaken)


@contextmanager
def under(epoch: int | None) -> Iterator[Work | None]:
    """Fence what this thread commits meanwhile; ``None``: a person asked for it, and no lease is needed."""
    work = None if epoch is None else Work(epoch)
    token = _at_work.set(work)
    try:
        yield work
    finally:
        _at_work.reset(token)


def refuse_when_overtaken(session: Session) -> None:
    """Hold the lease's row until the commit: whoever takes over waits for it, a heartbeat does not (FOR KEY SHARE)."""
    work = _at_work.get()
    if work is None:
        return
    give_up_when_stopped()
    mine = select(SchedulerLease.expires_at).where(SchedulerLease.name == NAME, SchedulerLease.epoch == work.epoch)
    expires_at = session.scalar(mine.with_for_update(read=True, key_share=True))
    if expires_at is None or expires_at <= current_runtime().now():
        work.overtaken = True
        raise Overtaken("The scheduler's lease is over; whoever leads now does this work.")
