"""Where to go after signing in: a name on an allow list with its parameters, sealed in the pre-session (S09).

Never a URL from the request: a module names its page and says which parameters it takes and how they look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from flask import Flask, redirect, session, url_for
from werkzeug.wrappers import Response

from tempadmin.runtime import application, current_runtime

EXTENSION = "tempadmin.targets"
WAITS_FOR = timedelta(minutes=10)
LARGEST = 512


@dataclass(frozen=True, kw_only=True)
class Target:
    """A page that one may be led to after signing in."""

    endpoint: str
    parameters: dict[str, re.Pattern[str]]
    name: Callable[[dict[str, str]], str | None]
    """What waits there, in words, for the sign-in page."""


def targets(app: Flask) -> dict[str, Target]:
    """Return the allow list, by endpoint."""
    return cast("dict[str, Target]", app.extensions.setdefault(EXTENSION, {}))


def remember_target(endpoint: str, parameters: dict[str, str]) -> None:
    """Keep a page for after the sign-in, for ten minutes; what does not fit the allow list is dropped."""
    target = targets(application()).get(endpoint)
    if target is None or set(parameters) != set(target.parameters):
        return
    if any(not target.parameters[name].fullmatch(value) for name, value in parameters.items()):
        return
    waiting = {"endpoint": endpoint, "parameters": parameters, "until": _until()}
    if len(json.dumps(waiting)) <= LARGEST:
        session["target"] = waiting


def waiting_name() -> str | None:
    """Return in words what waits behind the sign-in."""
    waiting = _waiting()
    return None if waiting is None else waiting[0].name(waiting[1])


def follow_target() -> Response:
    """Redirect to what waits, or to the start page; the endpoint comes from the allow list alone."""
    waiting = _waiting()
    session.pop("target", None)
    if waiting is None:
        return redirect(url_for("home"), 303)
    return redirect(url_for(waiting[0].endpoint, **waiting[1]), 303)  # type: ignore[arg-type]


def _waiting() -> tuple[Target, dict[str, str]] | None:
    kept = session.get("target")
    if not isinstance(kept, dict) or current_runtime().now() >= datetime.fromisoformat(kept["until"]):
        return None
    target = targets(application()).get(kept["endpoint"])
    return None if target is None else (target, kept["parameters"])


def _until() -> str:
    return (current_runtime().now() + WAITS_FOR).isoformat()
