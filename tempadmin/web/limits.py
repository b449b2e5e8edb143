"""A ceiling on changes per network address, whatever they are; what matters most has limits of its own.

This keeps a flood of forms off the pages, whichever machine they come to: it is counted in Redis where there is a
``rate_limit_url``, else in PostgreSQL, else, where one machine serves, in each worker's memory. What counts is away:
each worker counts for itself meanwhile. Guessing is stopped elsewhere, in the database and over all workers
(``accounts/throttle.py``), also with ``rate_limits = off``.
"""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from tempadmin.db import db
from tempadmin.runtime import Runtime
from tempadmin.web.limit_storage import SCHEME

EXTENSION = "tempadmin.limiter"
CHANGES_PER_ADDRESS = "600 per minute"
REDIS_SECONDS = 1
"""A Redis that does not answer is not waited for longer: counting is not worth anybody's time."""


def init_app(app: Flask, runtime: Runtime) -> None:
    """Count before the guard looks: a form that fails the CSRF check counts too (measured: route limits do not)."""
    app.config["RATELIMIT_ENABLED"] = runtime.settings.rate_limits
    uri, options = _storage(app, runtime)
    app.extensions[EXTENSION] = Limiter(
        get_remote_address,
        app=app,
        application_limits=[CHANGES_PER_ADDRESS],
        application_limits_exempt_when=lambda: request.method in {"GET", "HEAD", "OPTIONS"},
        storage_uri=uri,
        storage_options=options,
        in_memory_fallback_enabled=True,
    )


def limiter(app: Flask) -> Limiter:
    """Return what counts the changes of an application."""
    return cast(Limiter, app.extensions[EXTENSION])


def _storage(app: Flask, runtime: Runtime) -> tuple[str, dict[str, Any]]:
    url = runtime.settings.rate_limit_url
    if url is not None:
        return url, {"socket_connect_timeout": REDIS_SECONDS, "socket_timeout": REDIS_SECONDS, "key_prefix": SCHEME}
    with app.app_context():
        shared = db.engine.dialect.name == "postgresql"
        return (f"{SCHEME}://", {"engine": db.engine}) if shared else ("memory://", {})
