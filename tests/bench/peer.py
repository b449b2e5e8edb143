"""``python -m tests.bench.peer WHAT [N]``: makes and empties the database of a side-by-side run (``adapter.py``).

It prints one line of JSON at its end. ``cleanup`` runs the very jobs that the service runs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import g
from flask_wtf.csrf import generate_csrf
from sqlalchemy import func, insert, select, text

from instances.models import VirtualInstance
from tempadmin.accounts import factors, sessions
from tempadmin.accounts.models import OMNIADMIN, TEMPORARY, LoginSession, User
from tempadmin.app import create_app
from tempadmin.audit.log import Actor, record
from tempadmin.audit.models import AuditEvent
from tempadmin.db import db, transaction
from tempadmin.logs import only_warnings
from tempadmin.runtime import application, current_runtime
from tempadmin.serving import upgrade_database
from tempadmin.settings import Settings
from tempadmin.web.security import SESSION_COOKIE
from tests.tickets.crowd import crowd
from tickets.expire import expire_due, retry_due
from tickets.models import CONFIRM, LOGIN, AccessRequest, Activity, Ticket
from tickets.states import State

OPERATORS = 6000
"""One code of an authenticator works once in its 30 s, so each cycle is another person's. A run on one database takes
15 s: at fewer than 400 cycles a second nobody's turn comes twice."""

DAY, AGO = timedelta(days=1), timedelta(hours=2)
EVENTS = ("access.requested", "access.provisioned", "access.confirmed", "access.code_issued", "access.entered")
Said = dict[str, Any]


def main() -> None:
    """Do what the driver asks for."""
    what, *rest = sys.argv[1:]
    number = int(rest[0]) if rest else 0
    app = create_app(Settings())
    only_warnings()
    with app.app_context():
        said = COMMANDS[what](number)
        db.session.remove()
        db.engine.dispose()
    sys.stdout.write(json.dumps(said) + "\n")


def prepare(_number: int) -> Said:
    """Make schema, the default instance and signed-in operators; note their sessions for the driver."""
    upgrade_database()
    runtime = current_runtime()
    now = runtime.now()
    with transaction() as session:
        home = VirtualInstance(web_id="operator", name="Operator", is_default=True, created_at=now)
        session.add(home)
        session.flush()
        for number in range(OPERATORS):
            address = f"op{number}@operator.example"
            user = User(instance_id=home.id, role=OMNIADMIN, email=address, full_name=f"Op {number}", created_at=now)
            session.add(user)
            session.flush()
            factors.enrol(user_id=user.id, seed=os.environ["BENCH_TOTP_BASE32"], step=0, now=now, runtime=runtime)
            session.add(_session(user, now))
    notes = [{"session": _secret(number), "token": _token(_secret(number))} for number in range(OPERATORS)]
    (Path(os.environ["BENCH_TENANTS"]).parent / "tempadmin-operators.json").write_text(json.dumps(notes), "utf-8")
    return {"operators": OPERATORS}


def tenants(number: int) -> Said:
    """Insert the first so many of the driver's tenants as customers' instances."""
    rows = json.loads(Path(os.environ["BENCH_TENANTS"]).read_text("utf-8"))[:number]
    now = current_runtime().now()
    with transaction() as session:
        for some in _chunks(rows, 1000):
            values = [
                {"web_id": row["slug"], "name": row["name"], "virtual_hostname": f"{row['slug']}.localhost"}
                for row in some
            ]
            session.execute(insert(VirtualInstance), [{**one, "created_at": now} for one in values])
    _analyze()
    return {"tenants": number}


def expired(number: int) -> Said:
    """Let so many people have been inside somewhere until an hour ago, with all that a real access leaves behind."""
    now = current_runtime().now()
    places = db.session.scalars(
        select(VirtualInstance.id).where(VirtualInstance.is_default.is_(False)).order_by(VirtualInstance.id).limit(1000)
    ).all()
    people = db.session.scalars(select(User.id).where(User.role == OMNIADMIN).order_by(User.id)).all()
    for person in people[: -(-number // len(places))]:
        ids = crowd(requesters=[person], instances=places, ends_at=now - AGO)
        with transaction() as session:
            for request in session.scalars(select(AccessRequest).where(AccessRequest.id.in_(ids))):
                session.add_all(_traces(request))
                for event in EVENTS:
                    actor = Actor(id=person, name=request.requester_name)
                    record(event, instance_id=request.instance_id, actor=actor, at=now - AGO, request_id=request.id)
    _analyze()
    return count(0)


def cleanup(_number: int) -> Said:
    """Run the jobs that end what is over and remove its accounts, until nothing is due."""
    runtime, left = current_runtime(), select(func.count()).where(User.kind == TEMPORARY)
    before = db.session.scalar(left)
    begun, busy = time.perf_counter(), time.process_time()
    expire_due(runtime)
    while db.session.scalar(left):
        retry_due(runtime)
    return {"deleted": before, "seconds": time.perf_counter() - begun, "cpu": time.process_time() - busy}


def count(_number: int) -> Said:
    """Count what is left."""
    db.session.rollback()
    counted = {
        "temporary": select(func.count()).where(User.kind == TEMPORARY),
        "not ended": select(func.count()).where(AccessRequest.state != State.ENDED),
        "sessions of accesses": select(func.count()).where(LoginSession.access_request_id.is_not(None)),
        "audit events": select(func.count()).select_from(AuditEvent),
    }
    return {name: db.session.scalar(query) for name, query in counted.items()}


def _traces(request: AccessRequest) -> Iterator[Ticket | Activity]:
    at = request.created_at
    for purpose in (CONFIRM, LOGIN):
        digest = f"{purpose}-{request.id}"
        yield Ticket(request_id=request.id, purpose=purpose, digest=digest, issued_at=at, expires_at=at, used_at=at)
    yield Activity(
        request_id=request.id,
        instance_id=request.instance_id,
        occurred_at=at,
        actor_id=request.requester_id,
        actor_name=request.requester_name,
        subject_id=request.subject_id,
        method="GET",
        path="/users",
        status=200,
        did="Looked at the people",
    )


def _secret(number: int) -> str:
    return f"{number:06d}-side-by-side-session-of-an-operator"


def _session(user: User, now: datetime) -> LoginSession:
    number = int(user.full_name.rpartition(" ")[2])
    return LoginSession(
        digest=current_runtime().keys.digest(sessions.PURPOSE, _secret(number)),
        user_id=user.id,
        actor_id=user.id,
        actor_name=user.full_name,
        instance_id=user.instance_id,
        created_at=now,
        last_seen_at=now,
        expires_at=now + DAY,
        idle_seconds=int(DAY.total_seconds()),
        mfa_at=now,
    )


def _token(secret: str) -> str:
    """Return the token that a session's forms carry: the peers' operators know theirs from their sign-in, too."""
    with application().test_request_context(headers={"Cookie": f"{SESSION_COOKIE}={secret}"}):
        g.pop("csrf_token", None)  # the outer context keeps the former one's
        return str(generate_csrf())


def _chunks(rows: Sequence[Said], size: int) -> Iterator[Sequence[Said]]:
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _analyze() -> None:
    """Let the planner know the rows; on PostgreSQL as its autovacuum does a minute after so many were inserted."""
    vacuum = "VACUUM " if db.engine.dialect.name == "postgresql" else ""  # it puts new trigrams into their index, too
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT", write=True) as connection:
        connection.execute(text(f"{vacuum}ANALYZE"))


COMMANDS = {"prepare": prepare, "tenants": tenants, "expired": expired, "cleanup": cleanup, "count": count}

if __name__ == "__main__":
    main()
