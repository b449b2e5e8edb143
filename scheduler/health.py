"""What the scheduler adds to the grounds that the service stands on."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

from scheduler import lease
from scheduler.models import SchedulerLease
from tempadmin.db import db
from tempadmin.health import Ground, grounds
from tempadmin.runtime import Runtime

TAKE_OVER = timedelta(seconds=30)
"""How long a take-over may last; until then nobody is missing."""


def init_app(app: Flask) -> None:
    """Register the ground."""
    grounds(app).append(Ground(name="scheduler", holds=was_seen))


def was_seen(runtime: Runtime) -> bool:
    """Tell whether somebody leads, or did until just now."""
    row = db.session.get(SchedulerLease, lease.NAME)
    return row is not None and row.expires_at + TAKE_OVER > runtime.now()
