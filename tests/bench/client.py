"""A browser that speaks HTTP on one keep-alive connection, and one inside the application that counts."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from urllib.parse import urlencode, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from tests.bench.steps import step_of
from tests.browser import Browser
from tests.statements import commits, statements


class Client:
    """One browser on keep-alive connections: cookies per host, forms with token and origin.

    ``times`` holds how long each step took, in milliseconds.
    """

    def __init__(self, port: int, cookies: dict[str, str]) -> None:
        self.port, self.jars, self.body = port, {"localhost": dict(cookies)}, ""
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.connection = HTTPConnection("127.0.0.1", port)

    def send(self, method: str, url: str, form: dict[str, str] | None = None) -> str:
        """Send one request and follow what it answers; return the address where that ends."""
        while True:
            parts = urlsplit(url)
            host = parts.hostname or "localhost"
            jar = self.jars.setdefault(host, {})
            headers = {"Host": f"{host}:{self.port}", "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())}
            body = None
            if form is not None:
                body = urlencode({**form, "csrf_token": self.token()})
                headers |= {"Origin": f"http://{host}:{self.port}", "Content-Type": "application/x-www-form-urlencoded"}
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            begun = time.perf_counter()
            answer = self.ask(method, path, body, headers)
            self.body = answer.read().decode()
            self.times[step_of(method, path)].append((time.perf_counter() - begun) * 1000)
            for header in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = header.partition(";")[0].partition("=")
                jar[name] = value
            if answer.status >= 400:
                raise RuntimeError(f"{method} {url}: {answer.status}")
            if answer.status < 300:
                return url
            target = answer.headers["Location"]
            url = target if target.startswith("http") else f"http://{host}:{self.port}{target}"
            method, form = "GET", None

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> HTTPResponse:
        """Send one request, once more when the server had closed the idle connection."""
        try:
            self.connection.request(method, path, body, headers)
            return self.connection.getresponse()
        except (RemoteDisconnected, BrokenPipeError):
            self.connection.close()
            self.connection.request(method, path, body, headers)
            return self.connection.getresponse()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def token(self) -> str:
        """The present page's CSRF token."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.body)
        return found[1] if found else ""


class Counting(Browser):
    """A browser without HTTP; ``counts`` holds how many statements and commits each step sent to the database."""

    def __init__(self, app: Flask, base_url: str) -> None:
        super().__init__(app, base_url)
        self.counts: dict[str, tuple[int, int]] = {}

    @property
    def body(self) -> str:
        """The present page."""
        return self.page

    def send(self, method: str, url: str, form: dict[str, str] | None = None) -> str:
        """Send one request and follow what it answers; return the address where that ends."""
        response = self.post(url, form, follow=True) if method == "POST" else self.get(url, follow=True)
        if response.status_code >= 400:
            raise RuntimeError(f"{method} {url}: {response.status}")
        return self.url

    def _open(self, method: str, url: str, **kwargs: object) -> TestResponse:
        with statements() as seen, commits() as written:
            response = super()._open(method, url, **kwargs)
        self.counts[step_of(method, self.asked)] = len(seen), len(written)
        return response
