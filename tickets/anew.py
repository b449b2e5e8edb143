"""On-demand access's part when a restored database begins anew: no access that a backup remembers goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import exists, select, true, update

from tempadmin.audit import queries
from tempadmin.audit.log import SERVICE, Actor, record
from tempadmin.audit.models import AuditEvent
from tempadmin.backup.anew import left_over, parts
from tempadmin.backup.mark import RESTORED
from tempadmin.db import db, transaction
from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime
from tempadmin.web.context import instance_source
from tickets.end import end_all_open
from tickets.models import Ticket
from tickets.states import EndReason
from tickets.sweep import find_leftovers, sweep

LOOKED = "database.reconciled"


def init_app(app: Flask) -> None:
    """Register it, and what it leaves to the jobs."""
    parts(app).append(begin_anew)
    left_over(app).append(accounts_left)
    register(
        app,
        Job(
            name="after-restore",
            description="Looks, once the database was restored, for what the directories have since then",
            schedule="40 * * * *",
            run=look_around,
        ),
    )


def begin_anew(actor: Actor, now: datetime) -> dict[str, int]:
    """End every open request and void every ticket; the accounts are the job's to remove."""
    ended = end_all_open(true(), reason=EndReason.RESTORED, actor=actor, now=now, promptly=False)
    live = update(Ticket).where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
    db.session.execute(live.values(voided_at=now, code_digest=None, code_challenge=None, code_expires_at=None))
    return {"accesses": ended}


def look_around(runtime: Runtime) -> str:
    """Sweep once after a restore, the daily sweep being enabled or not; again each hour while directories are silent.

    What the lost time made in a directory elsewhere is known to nobody but by our marker. From here on it is a
    leftover, which the removal job goes on with for ever.
    """
    restored, default = queries.newest(RESTORED), instance_source().default()
    if restored is None or default is None or _looked_since(restored.id):
        return "nothing to do: no restore since the last look"
    swept = sweep(min_age=timedelta(0), runtime=runtime)
    silent = [words for words in swept.told if "was not read" in words]
    if not silent:
        with transaction(as_service=True):
            record(LOOKED, instance_id=default.id, actor=SERVICE, at=runtime.now(), found=swept.found, gone=swept.gone)
    return "; ".join([f"{swept.gone} of {swept.found} leftovers removed after a restore", *swept.told])


def _looked_since(event_id: int) -> bool:
    """Tell whether a look after that event was complete: it comes soon after, or is still being tried."""
    looked = exists().where(AuditEvent.id > event_id, AuditEvent.event == LOOKED)
    return bool(db.session.scalar(select(looked)))


def accounts_left(runtime: Runtime) -> Iterator[str]:
    """Say which accounts are to go, of requests that are over and of none."""
    for leftover in find_leftovers(min_age=timedelta(0), runtime=runtime):
        yield f"{leftover.account_name}: {leftover.why}"
