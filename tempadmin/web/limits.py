"""A ceiling on changes per network address, whatever they are; what matters most has limits of its own.

Counted per worker and in memory: this keeps a flood of forms off the database. Guessing is stopped elsewhere, in the
database and over all workers (``accounts/throttle.py``), also with ``rate_limits = off``.
"""

from __future__ import annotations

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from tempadmin.runtime import Runtime

CHANGES_PER_ADDRESS = "600 per minute"

limiter = Limiter(
    get_remote_address,
    application_limits=[CHANGES_PER_ADDRESS],
    application_limits_exempt_when=lambda: request.method in {"GET", "HEAD", "OPTIONS"},
    storage_uri="memory://",
)


def init_app(app: Flask, runtime: Runtime) -> None:
    """Count before the guard looks: a form that fails the CSRF check counts too (measured: route limits do not)."""
    app.config["RATELIMIT_ENABLED"] = runtime.settings.rate_limits
    limiter.init_app(app)
