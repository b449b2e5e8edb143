"""A browser for the demo's history: pages are opened as anybody opens them, so their activity is the real one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import Context
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask

from tempadmin.runtime import current_runtime
from tempadmin.web.security import SESSION_COOKIE, cookie_name

CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Visitor:
    """A support session at work, without anybody looking."""

    def __init__(self, app: Flask, *, base_url: str, session: str) -> None:
        self._base_url, self._page = base_url, ""
        self._client = app.test_client()
        name = cookie_name(SESSION_COOKIE, current_runtime())
        self._client.set_cookie(name, session, domain=urlsplit(base_url).hostname or "")

    def open(self, page: str) -> None:
        """Open a page."""
        self._send("GET", page)

    def send(self, page: str, form: Mapping[str, str]) -> None:
        """Send a form, with the token that the last page gave this session."""
        found = CSRF.search(self._page)
        self._send("POST", page, {"csrf_token": found[1] if found else "", **form})

    def _send(self, method: str, page: str, form: Mapping[str, str] | None = None) -> None:
        # In a context of its own: the present one would lend its session of the database, and its `g`.
        response = Context().run(
            self._client.open,
            page,
            method=method,
            base_url=self._base_url,
            data=form,
            headers={"Origin": self._base_url},
            buffered=True,
        )
        if response.mimetype == "text/html" and response.status_code == HTTPStatus.OK:
            self._page = response.get_data(as_text=True)
