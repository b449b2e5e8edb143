"""A ceiling on changes per network address, whatever they are; what matters most has limits of its own.

This keeps a flood of forms off the pages, whichever machine they come to: it is counted in Redis where there is a
``rate_limit_url``, else in PostgreSQL, else, where one machine serves, in each worker's memory. What counts is away:
each worker counts for itself meanwhile. Guessing is stopped elsewhere, in the database and over all workers
(``accounts/throttle.py``), also with ``rate_limits = off``.
"""

from __future__ import annotations

from typing import cast

import structlog
from flask import Flask, request
from werkzeug.exceptions import TooManyRequests

from tempadmin.clock import steady_seconds
from tempadmin.db import db
from tempadmin.runtime import Runtime
from tempadmin.web.limit_storage import InDatabase, InMemory, InRedis

EXTENSION = "tempadmin.ceiling"
MOST_CHANGES = 600
"""For each address, in each window of a minute."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger()


class Ceiling:
    """Counts for all machines where it can, else for this worker.

    Parameters
    ----------
    shared
        What counts for all, if anything does.
    pause
        For how many seconds it is left alone after it failed: counting is not worth anybody's time.
    """

    def __init__(self, shared: InDatabase | InRedis | None, *, pause: float = 5.0) -> None:
        self.pause, self._shared, self._own = pause, shared, InMemory()
        self._asked_again_at = 0.0

    def count(self, address: str, amount: int = 1) -> int:
        """Count so many changes; return how many this window has seen."""
        if self._shared is not None and steady_seconds() >= self._asked_again_at:
            try:
                return self._shared.count(address, amount)
            except self._shared.away as error:
                self._asked_again_at = steady_seconds() + self.pause
                log.warning("ceiling.counted_by_each_worker", error=type(error).__name__)
        return self._own.count(address, amount)


def init_app(app: Flask, runtime: Runtime) -> None:
    """Count before the guard looks: a form that fails the CSRF check counts too."""
    if not runtime.settings.rate_limits:
        return
    app.extensions[EXTENSION] = counting = Ceiling(_shared(app, runtime))

    @app.before_request
    def _refuse_a_flood() -> None:
        if request.method not in SAFE and counting.count(request.remote_addr or "") > MOST_CHANGES:
            raise TooManyRequests


def ceiling(app: Flask) -> Ceiling:
    """Return what counts the changes of an application whose ``rate_limits`` are on."""
    return cast(Ceiling, app.extensions[EXTENSION])


def _shared(app: Flask, runtime: Runtime) -> InDatabase | InRedis | None:
    if runtime.settings.rate_limit_url is not None:
        return InRedis(runtime.settings.rate_limit_url)
    with app.app_context():
        return InDatabase(db.engine) if db.engine.dialect.name == "postgresql" else None
