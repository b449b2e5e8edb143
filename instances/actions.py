"""What other modules add to the list of instances: row actions, and columns that say what goes on.

This floor knows none of those modules; each registers here in its ``init_app`` (design §3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from flask import Flask

from instances.models import VirtualInstance

EXTENSION = "tempadmin.instance_list"

Tone = Literal["quiet", "wait", "alert", "good"]


@dataclass(frozen=True)
class Badge:
    """A few words in a cell."""

    text: str
    tone: Tone = "quiet"


@dataclass(frozen=True)
class Link:
    """A row action as the page shows it."""

    label: str
    url: str
    minor: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """An extra column; ``cells`` gets all instances of a page at once and makes one query at most."""

    title: str
    cells: Callable[[Sequence[VirtualInstance]], Mapping[int, Sequence[Badge]]]


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """A link on each row; ``url`` gives ``None`` where the action makes no sense."""

    label: str
    url: Callable[[VirtualInstance], str | None]
    minor: bool = False
    """Not what people come for: it stands small, below the instance's name."""


@dataclass
class InstanceList:
    """What was registered."""

    columns: list[Column] = field(default_factory=list)
    actions: list[RowAction] = field(default_factory=list)


def init_app(app: Flask) -> None:
    """Have a registry, also when no module adds to it."""
    instance_list(app)


def instance_list(app: Flask) -> InstanceList:
    """Return what other modules added."""
    return cast(InstanceList, app.extensions.setdefault(EXTENSION, InstanceList()))


def links(app: Flask, instance: VirtualInstance) -> list[Link]:
    """Return the row actions of one instance."""
    found = [(action, action.url(instance)) for action in instance_list(app).actions]
    return [Link(action.label, url, action.minor) for action, url in found if url is not None]
