"""When things happen by themselves: one leader by lease, one run per due time."""

from __future__ import annotations

from flask import Flask

from scheduler import doctor, fencing, health, lease, metrics, process, web
from tempadmin.backup.anew import parts


def init_app(app: Flask) -> None:
    """Add the page *Jobs*, the fence around jobs, what probes and `doctor` look at, and what each worker starts."""
    web.init_app(app)
    fencing.init_app(app)
    process.init_app(app)
    doctor.init_app(app)
    health.init_app(app)
    metrics.init_app(app)
    parts(app).append(lease.begin_anew)
