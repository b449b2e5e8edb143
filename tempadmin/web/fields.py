"""Form fields that more than one floor uses."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from wtforms import SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older than it

__all__ = ["SelectChoice", "TimeZoneField"]


class TimeZoneField(SelectField):
    """A choice among all time zones, or none: then the browser's counts."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, choices=[SelectChoice("", "The browser's"), *_zones()], **kwargs)


@cache
def _zones() -> list[SelectChoice]:
    """Return all zones; they are files, looked through once."""
    return [SelectChoice(name) for name in sorted(available_timezones())]
