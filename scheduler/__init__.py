"""When things happen by themselves: one leader by lease, one run per due time."""

from __future__ import annotations

from flask import Flask

from scheduler import process, web


def init_app(app: Flask) -> None:
    """Add the page *Jobs*, and what each web worker starts after its fork when the scheduler is embedded."""
    web.init_app(app)
    process.init_app(app)
