"""The lease: of all processes that could run jobs one does, and another takes over when it dies.

The row is taken, kept and given back by guarded updates. Its epoch grows with each take-over; every claim of a run, and
every commit of its work (``fencing``), checks it in the same transaction, so a leader that slept through its lease does
no harm when it wakes up (P14).
"""

from __future__ import annotations

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import Update, select, text, update

from scheduler.due_times import LONG_AGO
from scheduler.models import JobState, SchedulerLease
from tempadmin.audit.log import Actor
from tempadmin.backup.anew import GAP
from tempadmin.db import claimed, db, lock_or_make, retried_once, transaction
from tempadmin.runtime import Runtime

NAME = "jobs"
LEASE = timedelta(seconds=20)
RENEW_EVERY = timedelta(seconds=5)
"""A follower looks as often: after a SIGKILL the next leader is at work within ``LEASE + RENEW_EVERY``."""

GIVE_UP_SECONDS = 5

FREE = {"holder": "", "host": "", "epoch": 0, "acquired_at": LONG_AGO, "expires_at": LONG_AGO}


def this_host() -> str:
    """Return this machine's name, as far as the lease has room for it."""
    return socket.gethostname()[:150]


def new_holder(host: str | None = None) -> str:
    """Return a name that no other process has, nor ever had; call it after the fork."""
    return f"{host or this_host()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_live(expires_at: datetime, now: datetime, *, lasts: timedelta = LEASE) -> bool:
    """Tell whether a lease still keeps others out.

    One that ends later than any lease can was taken before a clock was set back: it must not keep them out for as long
    as that. Two machines' clocks may differ by a little, hence the margin.
    """
    return now < expires_at <= now + lasts + RENEW_EVERY


@retried_once
def acquire(*, holder: str, runtime: Runtime, lasts: timedelta = LEASE, host: str | None = None) -> int | None:
    """Take the lease when nobody else holds it; return its new epoch, or ``None`` while another process leads.

    A holder that asks again (it could not finish its take-over) gets a new epoch too.
    """
    # Followers ask every few seconds: while the leader lives this read is all, and nobody waits for a writer's lock.
    rival = select(SchedulerLease.expires_at).where(SchedulerLease.name == NAME, SchedulerLease.holder != holder)
    lapses = db.session.scalar(rival)
    if lapses is not None and is_live(lapses, runtime.now(), lasts=lasts):
        return None
    with transaction(as_service=True):
        give_up_when_stopped()
        row = lock_or_make(SchedulerLease, NAME, **FREE)
        now = runtime.now()
        if row.holder != holder and is_live(row.expires_at, now, lasts=lasts):
            return None
        epoch = row.epoch + 1
        taken = claimed(
            update(SchedulerLease)
            .where(SchedulerLease.name == NAME, SchedulerLease.epoch == epoch - 1)
            .values(holder=holder, host=host or this_host(), epoch=epoch, acquired_at=now, expires_at=now + lasts)
        )
        return epoch if taken else None


@retried_once
def renew(*, holder: str, epoch: int, runtime: Runtime, lasts: timedelta = LEASE) -> bool:
    """Keep the lease; tell whether it is still ours. One that lapsed and that nobody took is."""
    with transaction(as_service=True):
        give_up_when_stopped()
        # Should this wait for the row, the time is an old one and the lease only ends sooner.
        return claimed(_ours(holder, epoch).values(expires_at=runtime.now() + lasts))


@retried_once
def release(*, holder: str, epoch: int, runtime: Runtime) -> None:
    """Give the lease back, so that the next leader need not wait; harmless when it is no longer ours."""
    with transaction(as_service=True):
        give_up_when_stopped()
        db.session.execute(_ours(holder, epoch).values(expires_at=runtime.now()))


def held(epoch: int, runtime: Runtime) -> bool:
    """Tell whether the lease of this epoch still holds, inside the open transaction.

    The row stays locked until the transaction ends: what is committed with it was committed by the leader.
    """
    give_up_when_stopped()
    row = lock_or_make(SchedulerLease, NAME, **FREE)
    return row.epoch == epoch and runtime.now() < row.expires_at


def begin_anew(_actor: Actor, now: datetime) -> dict[str, int]:
    """Free a restored database's lease under an epoch that was never given, and have every job run soon.

    A leader of the lost time that wakes up is fenced.
    """
    db.session.execute(update(JobState).values(next_due_at=now))
    row = lock_or_make(SchedulerLease, NAME, **FREE)
    row.epoch, row.holder, row.expires_at = row.epoch + GAP, "", now
    return {}


def give_up_when_stopped() -> None:
    """Let PostgreSQL end the open transaction when its process stops in the middle, with the lease's row in its hand.

    Whoever comes to take over would else wait for it for ever; SQLite, for one machine, knows no such thing.
    """
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{GIVE_UP_SECONDS}s'"))


def _ours(holder: str, epoch: int) -> Update:
    return update(SchedulerLease).where(
        SchedulerLease.name == NAME, SchedulerLease.holder == holder, SchedulerLease.epoch == epoch
    )
