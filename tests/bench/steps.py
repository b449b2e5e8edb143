"""The main job, step by step: which request belongs to which step, and the walk through them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from tempadmin.accounts.totp import code_at
from tempadmin.clock import SystemClock
from tests.world import SEED

STEPS = {
    "list of instances": ("GET", r"/instances"),
    "request: form": ("GET", r"/instances/acme/request-access"),
    "request: send": ("POST", r"/instances/acme/request-access"),
    "request: its page": ("GET", r"/access/[\w-]{20,}"),
    "confirm: open": ("POST", r"/access/[\w-]{20,}/confirmation"),
    "confirm: form": ("GET", r"/access/confirm"),
    "confirm: send": ("POST", r"/access/confirm"),
    "link": ("GET", r"/login/ticket"),
    "enter": ("GET", r"/access/enter"),
    "return": ("GET", r"/login/return"),
    "start page inside": ("GET", r"/"),
    "page as temporary admin": ("GET", r"/users"),
    "leave": ("POST", r"/support-session/leave"),
    "page after leaving": ("GET", r"/left"),
}


def step_of(method: str, url: str) -> str:
    """The step that a request belongs to."""
    path = urlsplit(url).path
    found = (name for name, (verb, form) in STEPS.items() if verb == method and re.fullmatch(form, path))
    return next(found, "another request")


class Walker(Protocol):
    """Whoever walks: a browser, with or without HTTP."""

    @property
    def body(self) -> str:
        """The present page."""

    def send(self, method: str, url: str, form: dict[str, str] | None = None) -> str:
        """Send one request and follow what it answers; return the address where that ends."""


def present_code() -> str:
    """The code that every operator's device shows now."""
    return code_at(SEED, SystemClock().now())


def walk_in(
    walker: Walker, *, port: int = 8000, code: Callable[[], str] = present_code, duration: str = "3600"
) -> None:
    """As a signed-in omniadmin: find the instance, ask, confirm, enter, look at a page."""
    console = f"http://localhost:{port}"
    walker.send("GET", f"{console}/instances")
    form = f"{console}/instances/acme/request-access"
    walker.send("GET", form)
    page = walker.send("POST", form, {"reason": "A bench asks for it.", "duration": duration})
    confirmation = walker.send("POST", f"{page}/confirmation", {})
    walker.send("POST", confirmation, {"code": code()})
    link = re.search(r"http://acme[^\s\"<]+/login/ticket\?key=[\w.-]+", walker.body)
    walker.send("GET", link[0] if link else "")
    walker.send("GET", f"http://acme.localhost:{port}/users")


def leave(walker: Walker, *, port: int = 8000) -> None:
    """Log out and delete the account."""
    walker.send("POST", f"http://acme.localhost:{port}/support-session/leave", {})
