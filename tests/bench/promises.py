"""What `tempadmin doctor --invariants` costs over a long history: seconds, and the most memory that it ever held.

``python -m tests.bench.promises`` measures this alone; ``--databases`` and a number of past requests may follow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from instances.models import VirtualInstance
from tempadmin.app import create_app
from tempadmin.audit.chain import GENESIS, seal
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tempadmin.keys import Keys
from tempadmin.logs import only_warnings
from tempadmin.runtime import current_runtime
from tempadmin.settings import Settings
from tests import postgresql
from tests.bench import server
from tickets.models import AccessRequest, Activity, Ticket

PAST, CUSTOMERS, AT_ONCE, PAGES = 100_000, 20, 2_000, 3
EVENTS = ("requested", "provisioned", "confirmed", "code_issued", "entered", "ending", "ended")
Rows = list[dict[str, Any]]
Figures = dict[str, float]


def measure(kind: str, past: int = PAST) -> Figures:
    """Make a history on one database of its own, and look through it as an operator does."""
    with tempfile.TemporaryDirectory() as folder, _database(kind) as url:
        values = server.settings_for(Path(folder), 8000, url)
        server.prepare(Settings(**values), operators=1)  # type: ignore[arg-type]
        _fill(values, past)
        seconds, processor, mebibytes = _look(values)
        label = f"invariants, {past:,} past requests"
        return {f"{label}, s": seconds, f"{label}, s of CPU": processor, f"{label}, MiB": mebibytes}


@contextmanager
def _database(kind: str) -> Iterator[str | None]:
    if kind == "sqlite":
        yield None
        return
    with postgresql.cluster() as cluster:
        yield cluster.url(cluster.new_database())


def _look(values: dict[str, str]) -> tuple[float, float, float]:
    environment = {**os.environ, **{f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}}
    command = [sys.executable, "-c", "from tempadmin.cli import main; main()", "doctor", "--invariants"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the history that was made breaks promises:\n{told}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _fill(values: dict[str, str], past: int) -> None:
    app = create_app(Settings(**values))  # type: ignore[arg-type]
    only_warnings()
    with app.app_context():
        now, keys = SystemClock().now(), current_runtime().keys
        with db.engine.connect().execution_options(write=True) as connection:
            names = [
                {"web_id": f"p{one}", "name": f"Past {one}", "virtual_hostname": f"p{one}.localhost", "created_at": now}
                for one in range(CUSTOMERS)
            ]
            with connection.begin():
                connection.execute(insert(VirtualInstance), names)
                first = connection.scalar(select(func.max(VirtualInstance.id))) or 0
            heads = {first - one: (0, GENESIS) for one in range(CUSTOMERS)}
            for begin in range(1, past + 1, AT_ONCE):
                tables = _history(range(begin, min(begin + AT_ONCE, past + 1)), now, heads, keys)
                with connection.begin():
                    for model, rows in tables.items():
                        connection.execute(insert(model), rows)
            ends = [{"instance_id": one, "number": number, "hash": mac} for one, (number, mac) in heads.items()]
            with connection.begin():
                connection.execute(insert(AuditHead), ends)
        db.session.remove()
        db.engine.dispose()


def _history(ids: range, now: datetime, heads: dict[int, tuple[int, str]], keys: Keys) -> dict[type, Rows]:
    """Return the rows of requests that were asked, confirmed, entered and ended, one an hour each."""
    tables: dict[type, Rows] = {AccessRequest: [], Ticket: [], Activity: [], AuditEvent: []}
    places = sorted(heads)
    for request_id in ids:
        at, place = now - timedelta(days=400) + timedelta(minutes=5 * request_id), places[request_id % len(places)]
        later = [at + timedelta(minutes=minute) for minute in range(9)]
        ids_of = {"request_id": request_id, "instance_id": place}
        tables[AccessRequest].append(_request(request_id, place, later))
        for purpose in ("confirm", "login"):
            digest = keys.digest(purpose, str(request_id))
            times = {"issued_at": later[1], "expires_at": later[6], "used_at": later[2]}
            tables[Ticket].append({"request_id": request_id, "purpose": purpose, "digest": digest, **times})
        page = {"actor_id": 1, "actor_name": "Op", "subject_id": 10**6 + request_id, "method": "GET", "path": "/users"}
        page |= {"status": 200, "did": "Looked at the people", "occurred_at": later[4]}
        tables[Activity] += [{**ids_of, **page} for _ in range(PAGES)]
        for event, moment in zip(EVENTS, later, strict=False):
            number, before = heads[place]
            row: dict[str, Any] = {
                **ids_of,
                "number": number + 1,
                "occurred_at": moment,
                "event": f"access.{event}",
                "actor_id": 1,
            }
            row |= {"actor_name": "Op", "details": '{"account": "liferay_online_1_2"}', "previous_hash": before}
            row["hash"] = seal(AuditEvent(**row), keys)
            heads[place] = (number + 1, row["hash"])
            tables[AuditEvent].append(row)
    return tables


def _request(request_id: int, place: int, later: list[datetime]) -> dict[str, Any]:
    names = ("created_at", "provisioning_at", "provisioned_at", "confirmed_at", "started_at", "ending_at", "ended_at")
    return {
        "id": request_id,
        "public_id": f"past{request_id}",
        "kind": "temporary_admin",
        "state": "ended",
        "state_since": later[6],
        "requester_id": 1,
        "requester_name": "Op",
        "requester_email": "op0@o.example",
        "instance_id": place,
        "instance_name": "Past",
        "connector": "local",
        "subject_id": 10**6 + request_id,
        "account_name": f"liferay_online_1_{10**6 + request_id}",
        "reason": "It was a long time ago.",
        "duration_seconds": 3600,
        "end_reason": "logout",
        "create_attempts": 1,
        "activity_count": PAGES,
        **dict(zip(names, later, strict=False)),
    }


if __name__ == "__main__":
    kinds = sys.argv[1].split(",") if len(sys.argv) > 1 else ["sqlite", "postgresql"]
    for kind in kinds:
        for name, value in measure(kind, int(sys.argv[2]) if len(sys.argv) > 2 else PAST).items():
            sys.stdout.write(f"{kind:<12} {name:<46} {value:.1f}\n")
