"""Several servers on loopback ports: programs that reach each other by name, and a browser over HTTP to all of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from tests.bench.server import free_port
from tests.tickets.servers import wait_for

NAMES = Path(__file__).parent / "loopback_names"
CSRF = re.compile(r'name="(?:csrf_token|_xsrf)"[^>]*value="([^"]+)"')

__all__ = ["Program", "Visitor", "free_port", "running"]


class _Loopback(httpx.HTTPTransport):
    """Every name leads to this machine; the servers are told it all the same."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return super().handle_request(here)


class Visitor:
    """One browser: cookies per host, forms with their token and origin, redirects followed across servers."""

    def __init__(self) -> None:
        self._client = httpx.Client(transport=_Loopback(), follow_redirects=True, timeout=30, trust_env=False)
        self.url, self.page, self.trail = "", "", list[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()

    def get(self, url: str, *, status: int | None = 200) -> str:
        """Open an address; return where that ended, with this status, or with whatever it is."""
        return self._open("GET", url, status=status)

    def post(self, url: str = "", form: dict[str, str] | None = None, *, status: int = 200) -> str:
        """Send a form of the present page."""
        found = CSRF.search(self.page)
        parts = urlsplit(urljoin(self.url, url))
        sent = {"csrf_token": found[1] if found else "", **(form or {})}
        return self._open("POST", url, status=status, data=sent, headers={"Origin": f"{parts.scheme}://{parts.netloc}"})

    def found(self, pattern: str) -> str:
        """Return what a pattern finds on the present page."""
        return self._first(pattern, unescape(self.page))

    def said(self, pattern: str) -> str:
        """Return what a pattern finds in the present page's words."""
        return self._first(pattern, self.text)

    @property
    def text(self) -> str:
        """The present page's words."""
        without_tags = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style|head).*?</\1>", " ", self.page))
        return " ".join(unescape(without_tags).split())

    def cookie(self, name: str, value: str, host: str) -> None:
        """Take a cookie from elsewhere."""
        self._client.cookies.set(name, value, domain=f"{host}.local" if host == "localhost" else host)

    def _first(self, pattern: str, text: str) -> str:
        match = re.search(pattern, text)
        assert match is not None, f"no {pattern} on {self.url}: {self.text}"
        return match[1] if match.groups() else match[0]

    def _open(self, method: str, url: str, *, status: int | None, **sent: Any) -> str:
        answer = self._client.request(method, urljoin(self.url, url), **sent)
        self.trail += [f"{one.status_code} {one.request.method} {one.url}" for one in (*answer.history, answer)]
        self.url, self.page = str(answer.url), answer.text
        assert status in (None, answer.status_code), (self.trail[-6:], self.text[:500])
        return self.url


class Program:
    """A program in a process group of its own that answers on a port."""

    def __init__(
        self, words: Sequence[str], *, folder: Path, log: Path, port: int, alive: str, **environment: str
    ) -> None:
        self.port, self.log, self._alive = port, log, alive
        path = os.pathsep.join(filter(None, [str(NAMES), environment.pop("PYTHONPATH", "")]))
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                words,
                cwd=folder,
                env={**os.environ, **environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Tell whether it can be used; a program that has ended never will."""
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{self._alive}", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it with all that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(20)


@contextmanager
def running(program: Program, *, seconds: float = 60) -> Iterator[Program]:
    """Wait until a program answers; end it at last."""
    try:
        wait_for(program.answers, seconds)
        yield program
    finally:
        program.stop()
