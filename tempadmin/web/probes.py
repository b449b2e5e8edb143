"""What load balancers and supervisors ask, on every host: no session is read, nothing said that strangers could use."""

from __future__ import annotations

from flask import Flask, Response

from tempadmin import health
from tempadmin.runtime import application
from tempadmin.web.guard import public

SCHEDULER = "scheduler"
"""The ground that a module may add: whether somebody makes things happen by themselves."""


def init_app(app: Flask) -> None:
    """Add the pages."""
    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)


@public()
def healthz() -> Response:
    """Answer 200 while alive, without a database too, and say whether a scheduler was seen lately."""
    lines = ["ok"]
    if any(ground.name == SCHEDULER for ground in health.grounds(application())):
        words = {True: "seen", False: "missing", None: "unknown"}
        lines.append(f"scheduler: {words[health.findings().get(SCHEDULER)]}")
    return _lines(lines, 200)


@public()
def readyz() -> Response:
    """Answer 200 when every ground holds, else 503 with the name of the one that does not."""
    failing = [name for name, holds in health.findings().items() if not holds]
    return _lines(failing or ["ready"], 503 if failing else 200)


def _lines(lines: list[str], status: int) -> Response:
    return Response("".join(f"{line}\n" for line in lines), status, mimetype="text/plain")
