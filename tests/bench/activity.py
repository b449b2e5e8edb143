"""What activity costs: a page with and without it, the customer's page with much of it, and its export.

``python -m tests.bench.activity`` measures this alone. All but the export happens inside this process, without HTTP.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any

from flask import Flask, Response, g
from sqlalchemy import insert, select, text
from werkzeug.test import Client as WsgiClient

from instances.models import VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import ADMINISTRATOR, User
from tempadmin.app import create_app
from tempadmin.audit.log import Actor
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.logs import only_warnings
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings
from tempadmin.web.paging import PAGE_SIZE, Pages
from tempadmin.web.security import SESSION_COOKIE
from tests.bench import server
from tests.bench.client import Counting
from tests.bench.steps import walk_in
from tests.statements import statements
from tests.tamper import without_triggers
from tests.world import CONSOLE, make_world
from tickets import activity
from tickets.models import AccessRequest, Activity

PAGES, HISTORY, MUCH, VERY_MUCH = 400, 1_000, 100_000, 1_000_000
HOST, ADMIN = "acme.localhost", "admin@acme.example"
Figures = dict[str, float]


def measure(kind: str) -> Figures:
    """Measure on one database of its own, with full durability."""
    with tempfile.TemporaryDirectory() as folder, server.database(kind) as url:
        values = server.settings_for(Path(folder), 8000, url)
        (cookie,) = server.prepare(Settings(**values), operators=1)  # type: ignore[arg-type]
        request_id, inside, admin = _enter(Path(folder), values, cookie)
        figures = _side_by_side(values, inside)
        _add(values, request_id, MUCH)
        figures |= _customers_page(values, request_id, admin)
        _add(values, request_id, VERY_MUCH)
        for form in ("csv", "json"):
            figures |= _export(values, request_id, admin, form)
        return figures


@contextmanager
def _app(values: dict[str, str]) -> Iterator[Flask]:
    app = create_app(Settings(**values))  # type: ignore[arg-type]
    only_warnings()  # standard output is the bench's own
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def _enter(folder: Path, values: dict[str, str], cookie: str) -> tuple[int, str, str]:
    """Walk in, and sign the customer's administrator in; return the request, and the cookies of both."""
    changes: dict[str, Any] = {**values, "secret_keys": (values["secret_keys"],)}
    world = make_world(folder, **changes)
    only_warnings()
    with world.app.app_context():
        world.clock.time = SystemClock().now()
        browser = Counting(world.app, CONSOLE)
        browser.client.set_cookie(SESSION_COOKIE, cookie, domain="localhost")
        walk_in(browser, code=world.next_code, duration="28800")
        request = world.newest_request()
        with transaction() as session:
            acme = session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == "acme")).one()
            now = SystemClock().now()
            user = User(instance_id=acme.id, role=ADMINISTRATOR, email=ADMIN, full_name="Admin", created_at=now)
            session.add(user)
            session.flush()
            who = Actor(id=user.id, name="Admin")
            runtime, day = current_runtime(), server.DAY
            admin = sessions.open_session(user=user, actor=who, now=now, lifetime=day, idle=day, runtime=runtime)
        found = request.id, browser.cookie(SESSION_COOKIE, HOST) or "", admin
        db.session.remove()
        db.engine.dispose()
    return found


def _side_by_side(values: dict[str, str], cookie: str) -> Figures:
    """Open one page again and again, turn by turn: as it is, with the last use alone noted, and with nothing."""
    with _app(values) as recording, _app(values) as noting, _app(values) as silent:
        _instead(noting, _note_use)
        _instead(silent, lambda response: response)
        figures: Figures = {}
        for path in ("/users", "/support-access"):
            opens = [_opener(app, cookie, path) for app in (recording, noting, silent)]
            times: list[list[float]] = [[], [], []]
            for _ in range(PAGES):
                for one, spent in zip(opens, times, strict=True):
                    spent.append(one())
            with_it, with_use, without = (statistics.median(spent) for spent in times)
            more = statistics.median(one - other for one, other in zip(times[0], times[1], strict=True))
            figures |= {f"{path} inside, ms": with_it, f"{path} inside, without activity, ms": with_use}
            figures |= {f"{path} inside, with nothing written, ms": without}
            figures[f"activity's part of {path}, %"] = 100 * more / with_use
    return figures


def _instead(app: Flask, recorder: Callable[[Response], Response]) -> None:
    """Put something else in the recorder's place."""
    after = app.after_request_funcs[None]
    after[[getattr(one, "__module__", "") for one in after].index(activity.__name__)] = recorder


def _note_use(response: Response) -> Response:
    """What a page of a support session must write in any case (P10)."""
    visit: activity.Visit | None = g.get("visit")
    if visit is not None:
        with transaction(as_service=True) as session:
            values = {"session": visit.session_id, "now": current_runtime().now()}
            session.connection().execute(sessions.NOTE_USE, values)
    return response


def _opener(app: Flask, cookie: str, path: str) -> Callable[[], float]:
    client = WsgiClient(app)
    client.set_cookie(SESSION_COOKIE, cookie, domain=HOST)

    def once() -> float:
        empty = Context()  # not in this application's context, or the request would share its `g`
        begun = time.perf_counter()
        answer = empty.run(client.get, path, base_url=f"http://{HOST}:8000", buffered=True)
        spent = (time.perf_counter() - begun) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return spent

    return once


def _customers_page(values: dict[str, str], request_id: int, cookie: str) -> Figures:
    """The pages that an administrator reads, with somebody inside, much activity and a long history."""
    figures: Figures = {}
    with _app(values) as app:
        public_id = db.session.get_one(AccessRequest, request_id).public_id
        db.session.remove()
        record = f"/support-access/{public_id}"
        pages = {"customer's page": "/support-access", "its live part": "/support-access/live"}
        pages |= {"record of an access": record, "record's last page": _end_of(app, record, request_id)}
        for name, path in pages.items():
            once = _opener(app, cookie, path)
            once()
            with statements() as seen:
                once()
            figures[f"{name} with {MUCH:,} rows, ms"] = statistics.median(once() for _ in range(PAGES // 4))
            figures[f"statements of {name}"] = float(len(seen))
    return figures


def _end_of(app: Flask, record: str, request_id: int) -> str:
    """The address of a record's last rows, as its pages would come to it."""
    oldest = select(Activity.id).where(Activity.request_id == request_id).order_by(Activity.id).limit(PAGE_SIZE + 1)
    with app.test_request_context(record):
        _, page = Pages(select(Activity).where(Activity.id.in_(oldest)), Activity.id, descending=True).fetch()
    return str(page.next_url)


def _add(values: dict[str, str], request_id: int, count: int) -> None:
    """Have that many rows of activity of one access, and a history of accesses."""
    with _app(values), without_triggers("activity"), db.engine.begin() as connection:
        table, requests = Activity.__table__, AccessRequest.__table__
        names = ", ".join(column.name for column in table.columns if column.name != "id")
        double = f"INSERT INTO activity ({names}) SELECT {names} FROM activity WHERE request_id = :id LIMIT :more"
        total = "SELECT count(*) FROM activity WHERE request_id = :id"
        while (more := count - connection.execute(text(total), {"id": request_id}).scalar_one()) > 0:
            connection.execute(text(double), {"id": request_id, "more": more})
        if connection.execute(select(requests.c.id)).all()[1:] == []:
            row = dict(connection.execute(select(requests).where(requests.c.id == request_id)).mappings().one())
            over = {"state": "ended", "end_reason": "logout", "ending_at": row["ends_at"]}
            copies = [{**row, **over, "id": None, "public_id": f"past-{number}"} for number in range(HISTORY)]
            for copy in copies:
                del copy["id"]
            connection.execute(insert(AccessRequest), copies)
    with _app(values):  # as autovacuum would in its own time
        if db.engine.dialect.name == "postgresql":
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))


def _export(values: dict[str, str], request_id: int, cookie: str, form: str) -> Figures:
    """Read the whole file in a process of its own, which tells its own peak."""
    command = [sys.executable, "-m", "tests.bench.activity", json.dumps([values, request_id, cookie, form])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    first, peak, seconds, size = json.loads(done.stdout.splitlines()[-1])
    name = f"export of {VERY_MUCH:,} rows as {form}"
    return {
        f"{name}, s": seconds,
        f"{name}, MiB long": size,
        f"{name}, peak RSS MiB": peak,
        f"{name}, RSS MiB before": first,
    }


def _read_whole(values: dict[str, str], request_id: int, cookie: str, form: str) -> None:
    with _app(values) as app:
        public_id = db.session.get_one(AccessRequest, request_id).public_id
        client = WsgiClient(app)
        client.set_cookie(SESSION_COOKIE, cookie, domain=HOST)
        Context().run(client.get, "/support-access", base_url=f"http://{HOST}:8000", buffered=True)
        first, begun, size = _peak(), time.perf_counter(), 0
        url = f"/support-access/{public_id}/activity.{form}"
        answer = Context().run(client.get, url, base_url=f"http://{HOST}:8000")
        for piece in answer.iter_encoded():
            size += len(piece)
        sys.stdout.write(json.dumps([first, _peak(), time.perf_counter() - begun, size / 2**20]) + "\n")


def _peak() -> float:
    """The most memory that this process has had, in MiB."""
    found = re.search(r"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_text("utf-8"), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("["):
        _read_whole(*json.loads(sys.argv[1]))
    else:
        for one in sys.argv[1:] or ["sqlite", "postgresql"]:
            sys.stdout.write(f"{one} {json.dumps(measure(one), indent=1)}\n")
