"""Failpoints: named steps at which a test may have the process die, so that each step of each use case is proven safe.

Off unless a test of ours sets ``hook``: no setting and no variable can, and a step costs one look at it. Every
transaction has three of them by construction, named after the function that opens it (``tickets.redeem.redeem:begun``,
``:before commit``, ``:committed``); what happens outside the database has its own, before and after, by ``reach()``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

Hook = Callable[[str], None]

hook: Hook | None = None
"""Called with each point's name when it is reached."""


def reach(step: str) -> None:
    """Come to a step of the calling function."""
    if hook is not None:
        hook(f"{_name(sys._getframe(1))}:{step}")  # noqa: SLF001 - the standard library's way to one's caller


def opened() -> Hook:
    """Come to the first step of a transaction; return what comes to the others. For ``transaction()`` alone."""
    if hook is None:
        return _nowhere
    # Above us stand transaction() and contextlib, and above those whoever wrote `with transaction()`.
    function, listening = _name(sys._getframe(3)), hook  # noqa: SLF001
    listening(f"{function}:begun")
    return lambda step: listening(f"{function}:{step}")


def _nowhere(_step: str) -> None:
    """Nobody listens."""


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
