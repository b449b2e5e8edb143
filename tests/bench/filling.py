"""Fill a database fast: instances, requests that have ended with all that a real one leaves behind, records.

What a real access left is copied by the database itself, many times over; audit events are chained in this process,
under the application's own key, so every chain holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, cast

from sqlalchemy import Connection, DateTime, Table, bindparam, func, insert, select, text, update

from instances.models import VirtualInstance
from tempadmin.accounts.models import LoginSession, User
from tempadmin.audit.chain import GENESIS, seal
from tempadmin.audit.log import NewLink
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import Base, db
from tempadmin.outbox.models import OutboxMessage
from tempadmin.runtime import current_runtime
from tests.tamper import without_triggers
from tickets.models import AccessRequest, Activity, Approval, Ticket

AT_ONCE = 50_000
SPREAD, APART = 85 * 86_400, 7
"""Seconds: how far the past reaches back, short of what housekeeping forgets; and between two of its requests."""
SUBJECTS = 100_000_000
"""Accounts that are gone had ids above this."""
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {})"
RANDOM = {"sqlite": "lower(hex(randomblob(32)))", "postgresql": "md5(random()::text) || md5(random()::text)"}
EARLIER = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', {}, '-' || ({}) || ' seconds')",
    "postgresql": "{} - ({}) * interval '1 second'",
}
_EVENTS, _HEADS = (cast(Table, model.__table__) for model in (AuditEvent, AuditHead))
_MOVE_HEAD = (
    update(_HEADS)
    .where(_HEADS.c.instance_id == bindparam("chain"))
    .values(number=bindparam("last_number"), hash=bindparam("last_hash"))
)
Copy = tuple[type[Base], str, dict[str, str]]


def instances(first: int, last: int) -> None:
    """Add customers ``c<first>`` to ``c<last - 1>``, each with an administrator; their names are in no order."""
    with _quickly() as connection:
        shuffled = f"upper(substr({RANDOM[connection.dialect.name]}, 1, 6))"
        newest = connection.execute(select(func.max(VirtualInstance.id))).scalar_one()
        names = {"web_id": "'c' || i", "virtual_hostname": "'c' || i || '.localhost'"}
        names["name"] = f"{shuffled} || ' customer ' || i"
        for start in range(first, last, AT_ONCE):
            end = min(start + AT_ONCE, last)
            _copy(connection, (VirtualInstance, f"id = {newest}", names), start, end)
            connection.commit()
        people = {"instance_id": "v.id", "email": "'admin@' || v.web_id || '.example'"}
        columns = [column.name for column in User.__table__.columns if column.name != "id"]
        values = ", ".join(people.get(name, f"u.{name}") for name in columns)
        connection.execute(
            text(
                f"INSERT INTO users ({', '.join(columns)}) SELECT {values} FROM users u, virtual_instances v "
                f"WHERE u.id = (SELECT min(id) FROM users WHERE role = 'administrator') AND v.id > {newest}"
            )
        )
        connection.commit()


def past(first: int, last: int, *, like: int, requesters: Sequence[int], places: Sequence[int]) -> None:
    """Add ended requests number ``first`` to ``last - 1``, each with copies of all that one real access left.

    Parameters
    ----------
    like
        The id of that access.
    requesters, places
        By whom and where they were, by turns; ascending ids without a gap.
    """
    session = db.session.scalars(select(LoginSession).where(LoginSession.user_id == requesters[0])).first()
    assert session is not None
    home, signed_in = session.instance_id, session.id
    base = db.session.scalars(select(func.max(AccessRequest.id))).one() + 1 - first
    who, where = f"{requesters[0]} + i % {len(requesters)}", f"{places[0]} + i % {len(places)}"
    request = {"request_id": f"{base} + i"}
    over = {"sent_at": "created_at", "next_attempt_at": "NULL"}
    own = {"id": f"{base} + i", "requester_id": who, "instance_id": where, "subject_id": f"{SUBJECTS} + i"}
    own |= {"public_id": "substr({random}, 1, 22)", "account_name": "'liferay_online_' || i"}
    theirs = {"digest": "{random}", "user_id": who, "actor_id": who, "ended_at": "last_seen_at"}
    copies: list[Copy] = [
        (AccessRequest, f"id = {like}", own),
        (Approval, f"request_id = {like}", request),
        (Ticket, f"request_id = {like}", request | {"digest": "{random}"}),
        (OutboxMessage, f"request_id = {like}", request | over),
        (LoginSession, f"id = {signed_in}", theirs),
        (Activity, f"request_id = {like}", request | {"instance_id": where, "actor_id": who}),
    ]
    left = [*_events(_EVENTS.c.event == "session.signed_in")[:1], *_events(_EVENTS.c.request_id == like)]
    now = current_runtime().now()
    with without_triggers("activity"), _quickly() as connection:
        for start in range(first, last, AT_ONCE):
            for copy in copies:
                _copy(connection, copy, start, min(start + AT_ONCE, last))
            connection.commit()
    chained(
        replace(event, occurred_at=now - timedelta(seconds=SPREAD - APART * i), instance_id=home)
        if event.request_id is None
        else replace(
            event,
            occurred_at=now - timedelta(seconds=SPREAD - APART * i),
            instance_id=places[i % len(places)],
            request_id=base + i,
        )
        for i in range(first, last)
        for event in left
    )


def record(first: int, last: int, *, like: int) -> None:
    """Add rows to the record of one access: half of them activity, half events of its instance's chain."""
    half, now = (last - first) // 2, current_runtime().now()
    (event,) = _events((_EVENTS.c.request_id == like) & (_EVENTS.c.event == "access.entered"))
    with without_triggers("activity"), _quickly() as connection:
        one = connection.execute(select(func.min(Activity.id)).where(Activity.request_id == like)).scalar_one()
        for start in range(0, half, AT_ONCE):
            _copy(connection, (Activity, f"id = {one}", {}), start, min(start + AT_ONCE, half))
            connection.commit()
        count = AccessRequest.activity_count + half
        connection.execute(update(AccessRequest).where(AccessRequest.id == like).values(activity_count=count))
        connection.commit()
    chained(
        replace(event, event="user.changed", request_id=None, occurred_at=now - timedelta(seconds=SPREAD - i / 10))
        for i in range(half)
    )


def chained(links: Iterable[NewLink]) -> None:
    """Put events at the end of their chains, in the order given."""
    keys, coming = current_runtime().keys, iter(links)
    known = {chain: (number, digest) for chain, number, digest in db.session.execute(select(*_HEADS.columns))}
    heads, columns = dict(known), [column for column in _EVENTS.columns if column.name != "id"]
    with without_triggers("audit_events"), _quickly() as connection:
        while rows := list(islice(coming, AT_ONCE)):
            for link in rows:
                number, link.previous_hash = heads.get(link.instance_id, (0, GENESIS))
                link.number = number + 1
                link.hash = seal(link, keys)
                heads[link.instance_id] = link.number, link.hash
            _add(connection, [column.name for column in columns], [tuple(vars(link).values()) for link in rows])
            connection.commit()
        new = [{"instance_id": chain, "number": 0, "hash": GENESIS} for chain in heads.keys() - known.keys()]
        if new:
            connection.execute(insert(_HEADS), new)
        moved = [{"chain": one, "last_number": number, "last_hash": digest} for one, (number, digest) in heads.items()]
        connection.execute(_MOVE_HEAD, moved)
        connection.commit()


def _events(which: Any) -> list[NewLink]:
    rows = db.session.execute(select(_EVENTS).where(which).order_by(_EVENTS.c.id)).mappings().all()
    return [NewLink(**{name: value for name, value in row.items() if name != "id"}) for row in rows]


def _copy(connection: Connection, copy: Copy, first: int, last: int) -> None:
    """Insert copies number ``first`` to ``last - 1`` of some rows; every moment in them lies that much further back."""
    model, which, changes = copy
    table, dialect = cast(Table, model.__table__), connection.dialect.name
    values = {}
    for column in table.columns:
        value = changes.get(column.name, column.name)
        if isinstance(column.type, DateTime) or isinstance(getattr(column.type, "impl", None), DateTime):
            value = value if value == "NULL" else EARLIER[dialect].format(value, f"{SPREAD} - {APART} * i")
        if column.name != "id" or "id" in changes:
            values[column.name] = value.replace("{random}", RANDOM[dialect])
    numbers = NUMBERS.format(first, last - 1)
    names, rows = ", ".join(values), ", ".join(values.values())
    statement = f"INSERT INTO {table.name} ({names}) {numbers} SELECT {rows} FROM {table.name}, n WHERE {which}"
    connection.exec_driver_sql(statement if dialect == "sqlite" else statement.replace("%", "%%"))


def _add(connection: Connection, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert events as the driver does it fastest."""
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        with driver.cursor().copy(f"COPY audit_events ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    at = columns.index("occurred_at")
    stored = [(*row[:at], row[at].replace(tzinfo=None).isoformat(" ", "microseconds"), *row[at + 1 :]) for row in rows]
    marks = ", ".join("?" for _ in columns)
    connection.exec_driver_sql(f"INSERT INTO audit_events ({names}) VALUES ({marks})", stored)


@contextmanager
def _quickly() -> Iterator[Connection]:
    """A connection of its own that has room and waits for no disk: what is filled in need not outlive a crash."""
    db.session.rollback()
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            for pragma in ("synchronous=OFF", "cache_size=-400000"):
                driver.execute(f"PRAGMA {pragma}")
        yield connection
        connection.detach()


def settle() -> None:
    """Bring all to rest, as checkpoints and autovacuum do in their own time; SQLite's planner is told nothing."""
    db.session.rollback()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            newest = "SELECT setval('access_requests_id_seq', max(id)) FROM access_requests"
            for statement in (newest, "VACUUM ANALYZE", "CHECKPOINT"):
                connection.exec_driver_sql(statement)
        else:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.engine.dispose()
