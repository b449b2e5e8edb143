"""What is measured of access requests: from the tables, so every machine tells the same."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import func, select

from tempadmin.db import db
from tempadmin.metrics.registry import Figure, Reading, registry
from tempadmin.runtime import Runtime
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


def init_app(app: Flask) -> None:
    """Register the sources."""
    registry(app).sources.extend([read_requests, read_tickets, read_removals, read_leftovers])


def read_requests(_runtime: Runtime) -> Iterator[Reading]:
    """Count requests; a state without any is told, too."""
    found = db.session.execute(select(AccessRequest.state, func.count()).group_by(AccessRequest.state))
    counts: dict[tuple[str, ...], float] = {(state.value,): 0 for state in State}
    counts |= {(State(state).value,): number for state, number in found}
    yield REQUESTS.of(counts)


def read_tickets(_runtime: Runtime) -> Iterator[Reading]:
    """Count tickets; their rows are kept for good, so the numbers only grow."""
    query = select(Ticket.purpose, func.count(), func.count(Ticket.used_at)).group_by(Ticket.purpose)
    found = {purpose: (made, used) for purpose, made, used in db.session.execute(query)}
    yield ISSUED.of({(purpose,): found.get(purpose, (0, 0))[0] for purpose in (CONFIRM, LOGIN)})
    yield REDEEMED.of({(purpose,): found.get(purpose, (0, 0))[1] for purpose in (CONFIRM, LOGIN)})


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
