"""Reads of the record: events for pages and exports, and whole chains for ``audit verify``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Select, Table, func, or_, select

from tempadmin.audit.beginnings import beginning
from tempadmin.audit.chain import Fault, Link, faults
from tempadmin.audit.models import IS_LOOKED_UP, LOOKED_UP, AuditEvent, AuditHead
from tempadmin.db import db, snapshot
from tempadmin.runtime import Runtime

CHUNK = 1_000
SEARCHED_AT_ONCE = 20_000
GONE = "the event that was expected is gone or another: the tail was cut"
COLUMNS = cast(Table, AuditEvent.__table__).columns


def part_of(until: int | None) -> range:
    """Return the ids of the part of the record that one search goes through: back from an event, or the newest.

    A text that nowhere stands is looked for in every event: in ten millions of them for many seconds.
    """
    newest_id = db.session.scalar(select(func.max(AuditEvent.id))) or 0
    last = newest_id if until is None else min(until, newest_id)
    return range(max(1, last - SEARCHED_AT_ONCE + 1), last + 1)


def is_before(event_id: int) -> bool:
    """Tell whether the record has anything before an event."""
    return db.session.scalar(select(AuditEvent.id).where(AuditEvent.id < event_id).limit(1)) is not None


def events(*, search: str = "", instance_id: int | None = None, part: range | None = None) -> Select[AuditEvent]:
    """Return the query of events, newest first, whose event, actor or details contain the text.

    Parameters
    ----------
    part
        The ids among which; all of them without.
    """
    query = select(AuditEvent).order_by(AuditEvent.id.desc())
    if part is not None:
        query = query.where(AuditEvent.id >= part.start, AuditEvent.id < part.stop)
    if instance_id is not None:
        query = query.where(AuditEvent.instance_id == instance_id)
    if search:
        query = query.where(
            or_(
                AuditEvent.event.icontains(search, autoescape=True),
                AuditEvent.actor_name.icontains(search, autoescape=True),
                AuditEvent.details.icontains(search, autoescape=True),
            )
        )
    return query


def of_request(*, request_id: int) -> list[AuditEvent]:
    """Return the events of one access request, oldest first."""
    query = select(AuditEvent).where(AuditEvent.request_id == request_id).order_by(AuditEvent.id)
    return list(db.session.scalars(query))


def count_of(event: str, *, instance_id: int, actor_id: int, since: datetime) -> int:
    """Return how often somebody did something at an instance since then; of ``LOOKED_UP`` events only."""
    query = select(func.count()).where(
        _is(event),
        AuditEvent.instance_id == instance_id,
        AuditEvent.actor_id == actor_id,
        AuditEvent.occurred_at > since,
    )
    return db.session.scalar(query) or 0


def newest(event: str) -> AuditEvent | None:
    """Return the last event of a kind; of ``LOOKED_UP`` events only."""
    return db.session.scalars(select(AuditEvent).where(_is(event)).order_by(AuditEvent.id.desc()).limit(1)).first()


def _is(event: str) -> ColumnElement[bool]:
    """Return the condition of a rare kind of event; its first half has the planners take the index of these alone."""
    if event not in LOOKED_UP:
        raise ValueError(f"nobody has an index of {event!r}")
    return IS_LOOKED_UP & (AuditEvent.event == event)


def instance_ids() -> list[int]:
    """Return every instance that has a chain, by its head or by its events."""
    heads = set(db.session.scalars(select(AuditHead.instance_id)))
    return sorted(heads | set(db.session.scalars(select(AuditEvent.instance_id).distinct())))


def verify(*, instance_id: int, runtime: Runtime, expected: tuple[int, str] | None = None) -> Iterator[Fault]:
    """Walk one chain in constant memory and yield what does not hold (S52).

    Parameters
    ----------
    expected
        A number and hash that was kept elsewhere: that event must still be there as it was.
    """
    with snapshot():
        head = db.session.get(AuditHead, instance_id)
        stored = None if head is None else (head.number, head.hash)
        begins = beginning(instance_id, runtime)
        yield from begins.faults
        yield from faults(_chain(instance_id), runtime.keys, instance_id=instance_id, head=stored, after=begins.after)
        if expected is not None and not begins.covers(*expected):
            event = AuditEvent.instance_id == instance_id, AuditEvent.number == expected[0]
            if db.session.scalar(select(AuditEvent.hash).where(*event)) != expected[1]:
                yield Fault(
                    instance_id, expected[0], "the event that was expected is gone or another: the tail was cut"
                )


def _chain(instance_id: int) -> Iterator[Link]:
    """Read plain rows: the session's bookkeeping of a million objects took longer than to check them (measured)."""
    query = select(*COLUMNS).where(AuditEvent.instance_id == instance_id).order_by(AuditEvent.number, AuditEvent.id)
    rows = db.session.connection().execute(query, execution_options={"yield_per": CHUNK})
    yield from cast("Iterator[Link]", rows)
