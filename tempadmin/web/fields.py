"""Form fields that more than one floor uses."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from markupsafe import escape
from wtforms import SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older than it
from wtforms.widgets import Select, html_params

from tempadmin.errors import RateLimited

__all__ = ["BAD_REQUEST", "Refused", "SelectChoice", "TimeZoneField", "slow_down"]

Refused = tuple[int, dict[str, str]]
"""Status and headers of a form that comes back."""

BAD_REQUEST: Refused = (400, {})


def slow_down(form: FlaskForm, error: RateLimited) -> Refused:
    """Give a form back with what was typed, and say above it when to try again."""
    form.form_errors.append(error.message)
    return 429, {"Retry-After": str(error.retry_after)}


class _OptionsWrittenOnce(Select):
    """Six hundred options take longer to write than all the rest of a page (measured)."""

    @classmethod
    def render_option(cls, choice: Any) -> str:  # type: ignore[override]  # the stubs are older than it
        """Write one option."""
        return _option(choice.value, choice.label, selected=choice.selected)


class TimeZoneField(SelectField):
    """A choice among all time zones, or none: then the browser's counts."""

    widget = _OptionsWrittenOnce()

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, choices=[SelectChoice("", "The browser's"), *_zones()], **kwargs)


@cache
def _option(value: str, label: str, *, selected: bool) -> str:
    return f"<option {html_params(value=value, selected=selected)}>{escape(label)}</option>"


@cache
def _zones() -> list[SelectChoice]:
    """Return all zones; they are files, looked through once."""
    return [SelectChoice(name) for name in sorted(available_timezones())]
