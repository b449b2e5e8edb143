"""A browser for tests without one: cookies per host, forms posted with their token and origin, redirects followed."""

from __future__ import annotations

import re
from contextvars import Context
from html import unescape
from urllib.parse import urljoin, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
REDIRECTS = (301, 302, 303, 307, 308)


class Browser:
    """One person's browser; addresses are absolute."""

    def __init__(self, app: Flask, base_url: str) -> None:
        self.client = app.test_client()
        self.url = base_url + "/"
        self.asked = self.url
        self.page = ""
        self.trail: list[str] = []

    def get(self, url: str, *, follow: bool = False, method: str = "GET", **headers: str) -> TestResponse:
        """Open an address; relative ones are taken from the present page."""
        response = self._open(method, url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        while follow and response.status_code in REDIRECTS:
            response = self._open("GET", urljoin(self.asked, response.headers["Location"]))
        return response

    def post(
        self,
        url: str = "",
        data: dict[str, str] | None = None,
        *,
        follow: bool = False,
        token: str | None = None,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        """Send a form of the present page: with its token and the page's origin, unless told otherwise."""
        form = {"csrf_token": self.token if token is None else token, **(data or {})}
        parts = urlsplit(urljoin(self.url, url))
        sent = {"Origin": origin or f"{parts.scheme}://{parts.netloc}"} if headers is None else headers
        response = self._open("POST", url, data=form, headers=sent)
        while follow and response.status_code in REDIRECTS:
            response = self._open("GET", urljoin(self.asked, response.headers["Location"]))
        return response

    @property
    def token(self) -> str:
        """The CSRF token of the present page."""
        found = CSRF.search(self.page)
        return found[1] if found else ""

    @property
    def text(self) -> str:
        """The present page's words, without tags."""
        without_tags = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style|head).*?</\1>", " ", self.page))
        return " ".join(unescape(without_tags).split())

    def cookie(self, name: str, host: str) -> str | None:
        """The value of a cookie that this browser holds for a host."""
        found = self.client.get_cookie(name, domain=host)
        return found.value if found else None

    def link(self, pattern: str) -> str:
        """The first address on the present page that matches."""
        found = re.search(pattern, unescape(self.page))
        if found is None:
            raise AssertionError(f"no {pattern} on {self.url}: {self.text[:400]}")
        return found[0]

    def _open(self, method: str, url: str, **kwargs: object) -> TestResponse:
        absolute = urljoin(self.url, url)
        self.asked = absolute
        parts = urlsplit(absolute)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        base = f"{parts.scheme}://{parts.netloc}"
        # In an empty context, or the request would run in the test's own application context and share its `g`.
        # Buffered: files and streams are read to their end there, too.
        sent = {"base_url": base, "method": method, "buffered": True, **kwargs}
        response = Context().run(self.client.open, path, **sent)  # type: ignore[arg-type]
        self.trail.append(f"{method} {absolute} {response.status_code}")
        if response.status_code not in REDIRECTS and response.mimetype == "text/html":
            self.url, self.page = absolute, response.get_data(as_text=True)
        return response
