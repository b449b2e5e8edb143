"""What the present request did, in plain words, for whoever keeps an account of it.

The ground floor keeps no account itself: a module that does (activity of support sessions) asks at the request's end.
"""

from __future__ import annotations

from typing import cast

from flask import g


def tell_deed(words: str) -> None:
    """Say what this request did, e.g. ``Invited Anna Berg``; never a secret."""
    g.deed = words


def deed() -> str | None:
    """Return what this request said that it did, if it said anything."""
    return cast("str | None", g.get("deed"))
