"""What is measured of access requests: from the tables, so every machine tells the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

from flask import Flask
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from tempadmin.db import db
from tempadmin.metrics.registry import Figure, Reading, registry
from tempadmin.runtime import Runtime, application
from tickets import leftovers
from tickets.models import CONFIRM, LOGIN, AccessRequest, Ticket
from tickets.queries import removal_figures
from tickets.states import State

REQUESTS = Figure(name="tempadmin_access_requests", help="Access requests, by state.", labels=("state",))
ISSUED = Figure(name="tempadmin_tickets_issued_total", help="Tickets that were made.", labels=("purpose",))
REDEEMED = Figure(name="tempadmin_tickets_redeemed_total", help="Tickets that were used.", labels=("purpose",))
PENDING = Figure(name="tempadmin_removals_pending", help="Accesses that are over and not yet read back as gone.")
STUCK = Figure(name="tempadmin_removals_stuck", help="Those of them that need attention.")
BY_HAND = Figure(name="tempadmin_removals_by_hand", help="Those that a person removed, unconfirmed by a directory.")
FAILURES = Figure(name="tempadmin_removals_failed_attempts", help="How often they were tried in vain.")
OLDEST = Figure(name="tempadmin_removals_oldest_seconds", help="For how long the oldest of them is pending; 0 if none.")

LEFTOVERS = Figure(name="tempadmin_leftovers", help="Accounts that must go and belong to no access that is ending.")
LEFTOVERS_STUCK = Figure(name="tempadmin_leftovers_stuck", help="Those of them that need attention.")

EXTENSION = "tickets.counted"
SETTLED = timedelta(hours=1)
"""Whatever ended or ran out that long ago is committed everywhere, and moves no more."""

_Counts = Mapping[tuple[str, int], int]


def init_app(app: Flask) -> None:
    """Register the sources."""
    registry(app).sources.extend([read_requests, read_tickets, read_removals, read_leftovers])


def read_requests(runtime: Runtime) -> Iterator[Reading]:
    """Count requests; a state without any is told, too."""
    settled = runtime.now() - SETTLED
    moving = or_(AccessRequest.state != State.ENDED, AccessRequest.ended_at.is_(None), AccessRequest.ended_at > settled)
    found = _counted(AccessRequest.id, AccessRequest.state, moving, func.count())
    counts: dict[tuple[str, ...], float] = {(state.value,): 0 for state in State}
    counts |= {(State(state).value,): number for state, (number,) in found.items()}
    yield REQUESTS.of(counts)


def read_tickets(runtime: Runtime) -> Iterator[Reading]:
    """Count tickets; their rows are kept for good, so the numbers only grow."""
    moving = Ticket.expires_at > runtime.now() - SETTLED
    found = _counted(Ticket.id, Ticket.purpose, moving, func.count(), func.count(Ticket.used_at))
    yield ISSUED.of({(purpose,): found.get(purpose, (0, 0))[0] for purpose in (CONFIRM, LOGIN)})
    yield REDEEMED.of({(purpose,): found.get(purpose, (0, 0))[1] for purpose in (CONFIRM, LOGIN)})


def _counted(
    key: InstrumentedAttribute[int],
    group: InstrumentedAttribute[str],
    may_change: ColumnElement[bool],
    *counts: ColumnElement[int],
) -> dict[str, tuple[int, ...]]:
    """Count rows by group. What is below the first that may change is counted once in a process's life, and kept.

    A million accesses that are over cost a scrape nothing then; one that was counted never moves again.
    """
    kept: dict[str, tuple[int, _Counts]] = application().extensions.setdefault(EXTENSION, {})
    last, before = kept.get(key.class_.__tablename__, (0, {}))
    first = select(func.min(key)).where(key > last, may_change).scalar_subquery()
    end = db.session.scalar(select(func.coalesce(first, select(func.max(key) + 1).scalar_subquery(), 1))) or 1
    is_settled = key < end
    query = select(is_settled, group, *counts).where(key > last).group_by(is_settled, group)
    settled, moving = Counter[tuple[str, int]](before), Counter[tuple[str, int]]()
    for over, name, *numbers in db.session.execute(query):
        (settled if over else moving).update({(name, at): number for at, number in enumerate(numbers)})
    kept[key.class_.__tablename__] = end - 1, settled
    every = settled + moving
    return {name: tuple(every[name, at] for at in range(len(counts))) for name, _ in every}


def read_removals(runtime: Runtime) -> Iterator[Reading]:
    """Tell what is being removed, and what does not go through (P11)."""
    figures = removal_figures(runtime.now())
    yield PENDING.of(figures.pending)
    yield STUCK.of(figures.stuck)
    yield BY_HAND.of(figures.by_hand)
    yield FAILURES.of(figures.failed_attempts)
    yield OLDEST.of(figures.oldest_seconds)


def read_leftovers(runtime: Runtime) -> Iterator[Reading]:
    """Tell what must go and belongs to no request that is being removed."""
    figures = leftovers.figures(runtime.now())
    yield LEFTOVERS.of(figures.waiting)
    yield LEFTOVERS_STUCK.of(figures.stuck)
