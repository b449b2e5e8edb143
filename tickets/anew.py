"""On-demand access's part when a restored database begins anew: no access that a backup remembers goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import true, update

from tempadmin.audit.log import Actor
from tempadmin.backup.anew import left_over, parts
from tempadmin.db import db
from tempadmin.runtime import Runtime
from tickets.end import end_all_open
from tickets.models import Ticket
from tickets.states import EndReason
from tickets.sweep import find_leftovers


def init_app(app: Flask) -> None:
    """Register it, and what it leaves to the jobs."""
    parts(app).append(begin_anew)
    left_over(app).append(accounts_left)


def begin_anew(actor: Actor, now: datetime) -> dict[str, int]:
    """End every open request and void every ticket; the accounts are the job's to remove."""
    ended = end_all_open(true(), reason=EndReason.RESTORED, actor=actor, now=now, promptly=False)
    live = update(Ticket).where(Ticket.used_at.is_(None), Ticket.voided_at.is_(None))
    db.session.execute(live.values(voided_at=now, code_digest=None, code_challenge=None, code_expires_at=None))
    return {"accesses": ended}


def accounts_left(runtime: Runtime) -> Iterator[str]:
    """Say which accounts are to go, of requests that are over and of none."""
    for leftover in find_leftovers(min_age=timedelta(0), runtime=runtime):
        yield f"{leftover.account_name}: {leftover.why}"
