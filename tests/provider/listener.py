"""A product's back-channel: a real server on loopback that says what it is told to, and keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


@dataclass
class Listener:
    """Where it is, what it answers with, and what was posted to it."""

    uri: str = ""
    status: int = 200
    posted: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Listener]:
    """Serve until the test is over."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            listener.posted.append({name: values[0] for name, values in parse_qs(body).items()})
            self.send_response(listener.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name for it
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.uri = f"http://127.0.0.1:{server.server_port}/logout"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield listener
        server.shutdown()
        thread.join()
