"""What other modules add to the list of instances: row actions, and columns that say what goes on.

This floor knows none of those modules; each registers here in its ``init_app`` (design §3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, cast

from flask import Flask, url_for

EXTENSION = "tempadmin.instance_list"
_WEB_ID = "WEB-ID"

Tone = Literal["quiet", "wait", "alert", "good"]


@dataclass(frozen=True)
class Badge:
    """A few words in a cell."""

    text: str
    tone: Tone = "quiet"


class Listed(NamedTuple):
    """What the list, its columns and its actions know of an instance: a mapped object costs three times that."""

    id: int
    name: str
    web_id: str
    virtual_hostname: str
    connector: str
    is_default: bool
    archived_at: datetime | None
    require_omniadmin: bool
    require_customer: bool
    max_duration_seconds: int | None


class Link(NamedTuple):
    """A row action as the page shows it."""

    label: str
    url: str
    minor: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """An extra column; ``cells`` gets all instances of a page at once and makes one query at most."""

    title: str
    cells: Callable[[Sequence[Listed]], Mapping[int, Sequence[Badge]]]


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """A link on each row; ``urls`` gets all instances of a page at once and leaves out where it makes no sense."""

    label: str
    urls: Callable[[Sequence[Listed]], Mapping[int, str]]
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


def links(app: Flask, instances: Sequence[Listed]) -> Mapping[int, list[Link]]:
    """Return the row actions of the instances of a page."""
    found: dict[int, list[Link]] = {one.id: [] for one in instances}
    for action in instance_list(app).actions:
        for instance_id, url in action.urls(instances).items():
            found[instance_id].append(Link(action.label, url, action.minor))
    return found


def addresses(endpoint: str, instances: Iterable[Listed]) -> dict[int, str]:
    """Return where each instance has a view: made once for all; a web id, a DNS label, stands in it as it is."""
    before, _, after = url_for(endpoint, web_id=_WEB_ID).partition(_WEB_ID)
    return {one.id: f"{before}{one.web_id}{after}" for one in instances}
