"""How the service is: the grounds that it stands on, looked at now and then and never waited for long.

Probes come every second, from anybody, and most of all while something is wrong. So one thread per worker looks, at
most once in ``FRESH_FOR``; all who ask meanwhile share what it saw, and a database that swallows questions holds up
nobody for more than ``PATIENCE``. A look that takes longer says nothing yet: for ``USABLE_FOR`` the last one stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import structlog
from flask import Flask
from sqlalchemy import text

from tempadmin import schema
from tempadmin.db import db
from tempadmin.runtime import Runtime, application, current_runtime

EXTENSION, WATCH = "tempadmin.grounds", "tempadmin.health"
DATABASE = "database"
FRESH_FOR, PATIENCE, USABLE_FOR = 2.0, 1.0, 10.0
"""Seconds."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What must hold for the service to do its work; each rests on those before it.

    ``holds`` runs in an application context and writes nothing; what it raises counts as *no*.
    """

    name: str
    """The one word that a probe says of it."""
    holds: Callable[[Runtime], bool]


def init_app(app: Flask) -> None:
    """Register the grounds of this floor and what watches them all."""
    grounds(app).append(Ground(name=DATABASE, holds=_can_be_written))
    grounds(app).append(Ground(name="migrations", holds=lambda _: not schema.is_behind()))
    app.extensions[WATCH] = Watch(lambda: _look(app))


def grounds(app: Flask) -> list[Ground]:
    """Return the grounds; modules add theirs."""
    return cast("list[Ground]", app.extensions.setdefault(EXTENSION, []))


def findings() -> Mapping[str, bool]:
    """Return which grounds hold, as of seconds ago; what rests on one that does not is left out."""
    watch = cast(Watch, application().extensions[WATCH])
    return watch.latest() or {DATABASE: False}


class Watch:
    """The latest look at something slow, shared by all who ask.

    Parameters
    ----------
    look
        Called in a thread of its own, one at a time.
    """

    def __init__(self, look: Callable[[], Mapping[str, bool]]) -> None:
        self._look = look
        self._changed = threading.Condition()
        self._found: Mapping[str, bool] | None = None
        self._began, self._fresh_until = 0.0, 0.0
        self._at_work = False

    def latest(self) -> Mapping[str, bool] | None:
        """Return what was seen; ``None`` when that is too long ago, or the first look takes its time."""
        with self._changed:
            now = time.monotonic()
            if now >= self._fresh_until and not self._at_work:
                self._began, self._at_work = now, True
                threading.Thread(target=self._run, name="health", daemon=True).start()
            if self._at_work:
                # Counted from its begin: whoever asks after that need not wait at all.
                self._changed.wait_for(lambda: not self._at_work, timeout=max(self._began + PATIENCE - now, 0))
            return self._found if time.monotonic() < self._fresh_until - FRESH_FOR + USABLE_FOR else None

    def _run(self) -> None:
        found: Mapping[str, bool] | None = None
        try:
            found = self._look()
        finally:
            with self._changed:
                self._found, self._at_work = found, False
                self._fresh_until = time.monotonic() + FRESH_FOR
                self._changed.notify_all()


def _look(app: Flask) -> dict[str, bool]:
    seen: dict[str, bool] = {}
    with app.app_context():
        runtime = current_runtime()
        for ground in grounds(app):
            try:
                seen[ground.name] = ground.holds(runtime)
            except Exception as error:  # noqa: BLE001 - whatever it is, it does not hold
                log.warning("health.not_looked_at", ground=ground.name, error=type(error).__name__)
                seen[ground.name] = False
            if not seen[ground.name]:
                break
    return seen


def _can_be_written(_runtime: Runtime) -> bool:
    """Tell whether the database answers, and is no standby, which would refuse every change."""
    if schema.is_missing():
        return False
    on_postgresql = db.engine.dialect.name == "postgresql"
    question = "SELECT current_setting('transaction_read_only')" if on_postgresql else "SELECT 'off'"
    return bool(db.session.scalar(text(question)) == "off")
