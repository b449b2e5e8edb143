"""Where metrics are told: to whoever has the token, on the console's host, or on a listener of their own.

In front of the application and not among its pages: there is no route to find where they are off, and a database that
is away, which the pages need to know their host by, is no reason to tell nothing.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from tempadmin.metrics.registry import registry
from tempadmin.runtime import Runtime
from tempadmin.settings import Settings

if TYPE_CHECKING:
    from tempadmin.metrics.exposition import Exposition

PATH = "/metrics"
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
"""What else a client may think of is one more value of a label, and not a thousand."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def enable(app: Flask, runtime: Runtime) -> None:
    """Begin to count, once all modules have registered what there is; nothing where metrics are off."""
    if not runtime.settings.measures:
        return
    from tempadmin.metrics.exposition import Exposition  # noqa: PLC0415 - what is off costs neither time nor memory

    told = Exposition(app)
    registry(app).sink = told
    app.after_request(lambda response: _observe(told, response))
    app.wsgi_app = Door(app.wsgi_app, told, runtime.settings)  # type: ignore[method-assign]


class Door:
    """Lets scrapers in, and hands everybody else on to the pages.

    On the metrics' own listener there is nothing else. Its port is the socket's own: nothing that a client sends
    changes it.
    """

    def __init__(self, pages: Wsgi, told: Exposition, settings: Settings) -> None:
        self._pages, self._told = pages, told
        self._host = urlsplit(settings.base_url).hostname
        self._port = settings.metrics_address[1] if settings.metrics_address else None
        token = settings.metrics_token
        self._wanted = b"Bearer " + token.get_secret_value().encode() if token else None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        asked = environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if environ["SERVER_PORT"] == str(self._port):
            answer = self._answer() if asked else Response("not found\n", 404, HEADERS, mimetype="text/plain")
        elif asked and self._may_see(environ):
            answer = self._answer()
        else:
            return self._pages(environ, start_response)
        return answer(environ, start_response)

    def _may_see(self, environ: Environ) -> bool:
        """Tell whether this is the console's host and the token the right one; the time it takes says nothing."""
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if self._wanted is None or not hmac.compare_digest(self._wanted, given):
            return False
        return urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname == self._host

    def _answer(self) -> Response:
        return Response(self._told.render(), 200, HEADERS, content_type=self._told.content_type)


def _observe(told: Exposition, response: Response) -> Response:
    told.observe(
        route=request.endpoint or "none",
        method=request.method if request.method in METHODS else "other",
        status=response.status_code,
        seconds=time.perf_counter() - g.began,
    )
    return response
