"""`make bench`: what the main job costs on this machine. Medians of one run; machines are noisy, so compare ratios.

Two gunicorn workers on SQLite with full durability, mails off (the confirmation opens from the page), rate limits off.
Operators are prepared with a session each, since one TOTP time step works once per person.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from itertools import count
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from instances.models import VirtualInstance
from tempadmin.accounts import factors, sessions
from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.accounts.totp import code_at
from tempadmin.app import create_app
from tempadmin.audit.log import Actor
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.runtime import current_runtime
from tempadmin.serving import upgrade_database
from tempadmin.settings import Settings

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
KEYS = "bench-" * 8
STEPS = ("ask", "confirm", "enter", "page", "leave")


class Client:
    """One browser on keep-alive connections: cookies per host, forms with token and origin."""

    def __init__(self, port: int, cookies: dict[str, str]) -> None:
        self.port, self.jars, self.body = port, {"localhost": dict(cookies)}, ""
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
            answer = self.ask(method, path, body, headers)
            self.body = answer.read().decode()
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


def walk_in(client: Client, times: dict[str, list[float]], *, duration: str = "3600") -> None:
    """Ask, confirm, enter and look at a page; note how long each step took."""
    base, acme = f"http://localhost:{client.port}", f"http://acme.localhost:{client.port}"
    with timed(times, "ask"):
        client.send("GET", f"{base}/instances/acme/request-access")
        form = {"reason": "A bench asks.", "duration": duration}
        page = client.send("POST", f"{base}/instances/acme/request-access", form)
    with timed(times, "confirm"):
        confirm = client.send("POST", f"{page}/confirmation", {})
        client.send("POST", confirm, {"code": code_at(SEED, SystemClock().now())})
        link = re.search(r"http://acme[^\s\"<]+/login/ticket\?key=[\w.-]+", client.body)
    with timed(times, "enter"):
        client.send("GET", link[0] if link else "")
    with timed(times, "page"):
        client.send("GET", f"{acme}/users")


def cycle(client: Client, times: dict[str, list[float]]) -> None:
    """Walk the main job once, to its end."""
    walk_in(client, times)
    with timed(times, "leave"):
        client.send("POST", f"http://acme.localhost:{client.port}/support-session/leave", {})


@contextmanager
def timed(times: dict[str, list[float]], step: str) -> Iterator[None]:
    """Note how long a step took, in milliseconds."""
    begun = time.perf_counter()
    yield
    times[step].append((time.perf_counter() - begun) * 1000)


def prepare(settings: Settings, *, operators: int, instances: int) -> list[str]:
    """Make the database, people and instances; return one session cookie per operator."""
    app = create_app(settings)
    with app.app_context():
        upgrade_database()
        runtime, cookies = current_runtime(), []
        now = runtime.now()
        with transaction() as session:
            home = VirtualInstance(web_id="operator", name="Operator", is_default=True, created_at=now)
            session.add(home)
            session.add_all(
                VirtualInstance(web_id=web_id, name=f"Customer {web_id}", virtual_hostname=host, created_at=now)
                for web_id, host in [
                    ("acme", "acme.localhost"),
                    *((f"c{n}", f"c{n}.localhost") for n in range(instances)),
                ]
            )
            session.flush()
            for number in range(operators):
                user = User(
                    instance_id=home.id, role=OMNIADMIN, email=f"op{number}@o.example", full_name="Op", created_at=now
                )
                session.add(user)
                session.flush()
                factors.enrol(user_id=user.id, seed=SEED, step=0, now=now, runtime=runtime)
                day = timedelta(days=1)
                actor = Actor(id=user.id, name="Op")
                cookies.append(
                    sessions.open_session(
                        user=user, actor=actor, now=now, lifetime=day, idle=day, mfa_at=now, runtime=runtime
                    )
                )
        db.session.remove()
        db.engine.dispose()
    return cookies


def pss(pid: int) -> float:
    """Memory of a process and its children in MiB, shared pages counted by their share."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    own = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8"), re.MULTILINE)
    return (int(own[1]) / 1024 if own else 0) + sum(pss(int(child)) for child in children)


def main() -> None:
    """Prepare, serve, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        values = {"data": name, "base_url": f"http://localhost:{port}", "secret_keys": KEYS, "mail_url": "none"}
        values |= {"rate_limits": "off", "session_lifetime": "86400"}
        cookies = prepare(Settings(**values), operators=600, instances=10_000)  # type: ignore[arg-type]
        environment = {**os.environ, **{f"TEMPADMIN_{key.upper()}": value for key, value in values.items()}}
        begun = time.perf_counter()
        command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            figures = measure(port, cookies, server.pid, begun, options.seconds)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    table = "".join(f"{name:<40} {value:>10.2f}\n" for name, value in figures.items())
    sys.stdout.write(json.dumps(figures) + "\n" if options.json else table)


def measure(port: int, cookies: list[str], pid: int, begun: float, seconds: float) -> dict[str, float]:
    """Wait for the first answer, then run the workloads."""
    while True:
        try:
            with closing(Client(port, {})) as first:
                first.send("GET", f"http://localhost:{port}/healthz")
            break
        except OSError:
            time.sleep(0.01)  # noqa: TID251 - a bench measures; it asserts nothing
    figures = {"cold start to first 200, s": time.perf_counter() - begun}
    taken = count()
    for workers in (1, 8):
        times: dict[str, list[float]] = {step: [] for step in STEPS}
        stop = time.perf_counter() + seconds
        lock = threading.Lock()

        def work() -> int:
            done = 0
            while time.perf_counter() < stop:  # noqa: B023 - joined before the next round
                with lock:  # noqa: B023
                    number = next(taken)
                if number >= len(cookies):
                    break
                with closing(Client(port, {"tempadmin_session": cookies[number]})) as client:
                    cycle(client, times)  # noqa: B023
                done += 1
            return done

        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            cycles = sum(pool.map(lambda _: work(), range(workers)))
        figures[f"cycles/s at {workers}"] = cycles / (time.perf_counter() - start)
        for step in STEPS:
            figures[f"{step} at {workers}, median ms"] = statistics.median(times[step] or [0])
    client = Client(port, {"tempadmin_session": cookies[0]})
    for label, query in (("", ""), (" with search", "?q=c99")):
        spent = []
        for _ in range(40):
            mark = time.perf_counter()
            client.send("GET", f"http://localhost:{port}/instances{query}")
            spent.append((time.perf_counter() - mark) * 1000)
        figures[f"list of 10,000{label}, median ms"] = statistics.median(spent)
    figures["master and two workers, PSS MiB"] = pss(pid)
    return figures


if __name__ == "__main__":
    main()
