"""How long a directory elsewhere may be waited for: less than its own time-out where somebody waits for the answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

from instances.connectors.base import ConnectorError
from tempadmin.clock import steady_seconds

_ends: ContextVar[float | None] = ContextVar("patience", default=None)


@contextmanager
def at_most(lasts: timedelta) -> Iterator[None]:
    """Limit every call of a directory that begins meanwhile, all of them together; a limit outside this one holds."""
    ends, outer = steady_seconds() + lasts.total_seconds(), _ends.get()
    token = _ends.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        _ends.reset(token)


def within(timeout: timedelta) -> timedelta:
    """Return how long a call may take whose own time-out is this."""
    left = seconds_left()
    return timeout if left is None else min(timeout, timedelta(seconds=max(left, 0)))


def seconds_left() -> float | None:
    """Return the seconds that are left; ``None`` where nobody waits."""
    ends = _ends.get()
    return None if ends is None else ends - steady_seconds()


def require() -> None:
    """Require that there is any time left; for each call of a directory, before it begins.

    Raises
    ------
    ConnectorError
        When there is none: nothing was asked.
    """
    left = seconds_left()
    if left is not None and left <= 0:
        raise ConnectorError("not asked now: there was no time left to wait for an answer")
