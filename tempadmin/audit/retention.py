"""What old events wait for and what goes along with them: registries that other modules fill (design §3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from flask import Flask
from sqlalchemy import ColumnElement, Table

KEEPERS, ACTIVITY = "tempadmin.kept_events", "tempadmin.activity"
SHORTEST = timedelta(days=30)
"""Nothing younger is archived away, whatever is asked: longer than anything that reads the record looks back."""

Keeper = Callable[[], ColumnElement[bool]]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The append-only table whose rows go along with the events of their instance; it has ``id`` and ``instance_id``.

    ``must_stay`` takes a moment and returns the condition of the rows that are younger, or needed whatever their age.
    """

    table: Table
    must_stay: Callable[[datetime], ColumnElement[bool]]


def keepers(app: Flask) -> list[Keeper]:
    """Return what tells of events that must stay whatever their age; those after them in their chain stay, too."""
    return cast("list[Keeper]", app.extensions.setdefault(KEEPERS, []))


def set_activity(app: Flask, activity: Activity) -> None:
    """Say where activity is; called once, by the floor that writes it."""
    app.extensions[ACTIVITY] = activity


def activity_of(app: Flask) -> Activity | None:
    """Return where activity is, if any module writes it."""
    return cast("Activity | None", app.extensions.get(ACTIVITY))
