"""`make bench`: what the main job costs on this machine. Medians of one run; machines are noisy, so compare ratios.

Two gunicorn workers, on SQLite with full durability and on a throw-away PostgreSQL with fsync.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tempadmin.clock import SystemClock
from tempadmin.db import db
from tempadmin.logs import only_warnings
from tempadmin.settings import Settings
from tests import postgresql
from tests.bench import activity, connectors, document, ends, outage, promises, server
from tests.bench.client import Client, Counting
from tests.bench.steps import STEPS, leave, walk_in
from tests.world import CONSOLE, make_world

OPERATORS, FEW, MANY = 600, 10, 10_000
LISTS = 40
Figures = dict[str, float]


def main() -> None:
    """Measure on each database; print one table, or JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8, help="how long each round of cycles lasts")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md, too")
    options = parser.parse_args()
    figures = {}
    for kind in options.databases.split(","):
        with tempfile.TemporaryDirectory() as folder, _databases(kind) as (served, counted):
            figures[kind] = _measure(Path(folder), served, options.seconds) | _count(Path(folder) / "count", counted)
        figures[kind] |= activity.measure(kind) | ends.measure(kind) | promises.measure(kind)
        figures[kind] |= outage.measure(kind) | connectors.measure(kind)
    if options.write:
        document.write_bench(figures, _table(figures))
    sys.stdout.write(json.dumps(figures, indent=1) + "\n" if options.json else _table(figures))


@contextmanager
def _databases(kind: str) -> Iterator[tuple[str | None, str | None]]:
    """Two empty databases: one to serve from, one to count on."""
    if kind == "sqlite":
        yield None, None
        return
    with postgresql.cluster(fsync="on") as cluster:
        yield cluster.url(cluster.new_database()), cluster.url(cluster.new_database())


def _measure(folder: Path, database_url: str | None, seconds: float) -> Figures:
    """Serve, walk alone and by eight, look at lists and at memory."""
    values = server.settings_for(folder, server.free_port(), database_url)
    settings = Settings(**values)  # type: ignore[arg-type]
    cookies = server.prepare(settings, operators=OPERATORS)
    server.add_customers(settings, range(FEW - 1))
    with server.serving(values, folder / "log") as serving:
        figures = {"load average at the start": os.getloadavg()[0], "cold start to first 200, s": serving.cold}
        waiting = iter(cookies[1:])
        lists: Figures = {}
        for concurrency in (1, 8):
            cycles, times = _cycles(serving.port, waiting, concurrency, seconds)
            figures[f"cycles per second at {concurrency}"] = cycles
            lists |= {f"{step}, ms at {concurrency}": statistics.median(spent) for step, spent in times.items()}
            if concurrency == 1:
                own = serving.milliseconds()
                lists |= {f"{step}, server ms": statistics.median(spent) for step, spent in own.items()}
        master, *workers = serving.memory()
        figures |= {"master, PSS MiB": master}
        figures |= {f"worker {number}, PSS MiB": pss for number, pss in enumerate(workers, 1)}
        figures |= {"both workers, PSS MiB": sum(workers), "all, PSS MiB": master + sum(workers)}
        figures |= _lists(serving.port, cookies[0], FEW)
        server.add_customers(settings, range(FEW - 1, MANY - 1))
        figures |= _lists(serving.port, cookies[0], MANY)
    return figures | lists


def _cycles(
    port: int, cookies: Iterator[str], concurrency: int, seconds: float
) -> tuple[float, dict[str, list[float]]]:
    """Walk for a while; return cycles per second, and how long each step took for whoever walked."""
    lock, times = threading.Lock(), defaultdict[str, list[float]](list)
    begun = time.perf_counter()

    def work() -> int:
        done = 0
        while time.perf_counter() < begun + seconds:
            with lock:
                cookie = next(cookies)
            with closing(Client(port, {"tempadmin_session": cookie})) as client:
                walk_in(client, port=port)
                leave(client, port=port)
            done += 1
            with lock:
                for step, spent in client.times.items():
                    times[step] += spent
        return done

    with ThreadPoolExecutor(concurrency) as pool:
        done = sum(pool.map(lambda _: work(), range(concurrency)))
    return done / (time.perf_counter() - begun), times


def _lists(port: int, cookie: str, instances: int) -> Figures:
    """The list page, and a search in it."""
    figures = {}
    for label, query in (("", ""), (" with search", "?q=c9")):
        with closing(Client(port, {"tempadmin_session": cookie})) as client:
            for _ in range(LISTS):
                client.send("GET", f"http://localhost:{port}/instances{query}")
            name = f"list of {instances:,} instances{label}, ms"
            figures[name] = statistics.median(client.times["list of instances"])
    return figures


def _count(folder: Path, database_url: str | None) -> Figures:
    """Walk twice inside the application; return what the second walk asked of the database."""
    folder.mkdir()
    values = server.settings_for(folder, 8000, database_url)
    (cookie,) = server.prepare(Settings(**values), operators=1)  # type: ignore[arg-type]
    changes: dict[str, Any] = {**values, "secret_keys": (values["secret_keys"],)}
    world = make_world(folder, **changes)
    only_warnings()
    with world.app.app_context():
        world.clock.time = SystemClock().now()
        browser = Counting(world.app, CONSOLE)
        browser.client.set_cookie("tempadmin_session", cookie, domain="localhost")
        for _ in range(2):
            walk_in(browser, code=world.next_code)
            leave(browser)
        db.session.remove()
        db.engine.dispose()
    counted = {f"{step}, statements": float(count) for step, (count, _) in browser.counts.items()}
    return counted | {f"{step}, commits": float(commits) for step, (_, commits) in browser.counts.items()}


def _table(figures: dict[str, Figures]) -> str:
    """Two tables: the steps, and all else; one column or group of columns per database."""
    columns = ("ms at 1", "ms at 8", "server ms", "statements", "commits")
    kinds = list(figures)
    rows = ["".join([" " * 26, *(f"{kind:^55}" for kind in kinds)])]
    rows.append("".join([f"{'step (medians)':<26}", *(f"{name:>11}" for _ in kinds for name in columns)]))
    for step in STEPS:
        cells = [figures[kind].get(f"{step}, {name}") for kind in kinds for name in columns]
        rows.append("".join([f"{step:<26}", *(f"{'-' if cell is None else f'{cell:.4g}':>11}" for cell in cells)]))
    rows += ["", "".join([f"{'':<46}", *(f"{kind:>12}" for kind in kinds)])]
    others = [name for name in figures[kinds[0]] if not name.endswith(columns)]
    for name in others:  # some figures one database alone has
        cells = [figures[kind].get(name) for kind in kinds]
        rows.append("".join([f"{name:<46}", *(f"{'-' if cell is None else f'{cell:.2f}':>12}" for cell in cells)]))
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
