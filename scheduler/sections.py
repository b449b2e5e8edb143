"""What other modules add to the page *Jobs*: the work of theirs that waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask

EXTENSION = "tempadmin.jobs_sections"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page, above the jobs."""

    template: str
    """Included where the page is drawn; what it shows is called ``section`` in there."""
    values: Callable[[], Any]
    """What it shows now; nothing is drawn where that is false."""


def sections(app: Flask) -> list[Section]:
    """Return what modules have added."""
    return cast("list[Section]", app.extensions.setdefault(EXTENSION, []))
