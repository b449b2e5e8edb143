"""What other modules say about an instance's connection, on its page; this floor knows none of them (design §3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from flask import Flask

from instances.models import VirtualInstance

EXTENSION = "tempadmin.connection_facts"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of the page: what it is about, and how it is."""

    label: str
    text: str
    url: str | None = None
    """Where more of it is."""


Tells = Callable[[VirtualInstance], Sequence[Fact]]


def connection_facts(app: Flask) -> list[Tells]:
    """Return what other modules added; each is asked for the facts of an instance."""
    return cast("list[Tells]", app.extensions.setdefault(EXTENSION, []))
