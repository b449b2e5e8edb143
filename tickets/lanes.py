"""Lanes: what directories elsewhere are asked for goes on side by side, one instance's trouble in no other one's way.

A product that hangs costs its callers their whole time-out, each time. So each instance has a lane of its own, in which
one call at most is under way; a few lanes are at work at once, those first where nothing has failed, and one is always
free of those where something has. All of it belongs to the run of a job: each lane has its own database session, and
what it commits is fenced as that run is (P14).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

import structlog

from tempadmin.clock import steady_seconds
from tempadmin.db import db, is_outage
from tempadmin.errors import Conflict
from tempadmin.jobs import may_go_on
from tempadmin.runtime import Runtime, application

LANES = 4
LOOK_EVERY_SECONDS = 0.5
TROUBLE_AT_MOST_SECONDS = 30.0
"""After so long no further instance in trouble is begun with: a job has more to do, and comes again in seconds."""

Place = tuple[str, int]
"""A connector's name and an instance: what one outage concerns."""

I = TypeVar("I")  # noqa: E741 - the item
O = TypeVar("O")  # noqa: E741 - the outcome

log = structlog.get_logger()


class Waiting(NamedTuple):
    """Work that is due at a place."""

    connector: str
    instance_id: int
    failures: int
    """How often it failed there; 0: nothing is known against this place."""
    since: datetime


@dataclass(frozen=True)
class Kind:
    """One kind of work."""

    word: str
    """What is done to an account: *made*, *removed*."""
    due: Callable[[datetime], Iterable[Waiting]]
    """Tells where something is due."""
    attempt: Callable[[Place, Runtime], tuple[int, int]]
    """Tries once at a place; returns how many were tried, and how many succeeded."""


@dataclass
class _Run:
    """What one run of a job has in hand."""

    kinds: Sequence[Kind]
    runtime: Runtime
    began: float = field(default_factory=steady_seconds)
    busy: dict[Future[tuple[int, int]], tuple[Kind, Place, bool]] = field(default_factory=dict)
    closed: dict[Place, float] = field(default_factory=dict)
    """Where nothing more is tried before this moment: something failed there, or a rival is at it."""
    done: Counter[str] = field(default_factory=Counter)

    def next_ones(self) -> Iterator[tuple[Kind, Place, bool]]:
        """Yield what a free lane may take up, least trouble first, then the longest due; and whether it has any."""
        found = [(one, kind) for kind in self.kinds for one in kind.due(self.runtime.now())]
        db.session.rollback()  # whoever looks again must see what came meanwhile
        for one, kind in sorted(found, key=lambda each: (each[0].failures, each[0].since)):
            place = (one.connector, one.instance_id)
            in_trouble = one.failures > 0
            if place in {busy for _, busy, _ in self.busy.values()}:
                continue
            if steady_seconds() < self.closed.get(place, 0):
                continue
            if in_trouble and not self._has_room_for_trouble():
                continue
            yield kind, place, in_trouble

    def take(self, future: Future[tuple[int, int]]) -> None:
        """Note how a lane's work ended; raises what concerns every lane."""
        kind, place, _ = self.busy.pop(future)
        try:
            failed, succeeded = future.result()
        except Exception as error:
            if is_outage(error) or isinstance(error, Conflict):  # no database, or no lease: the others fail alike
                raise
            log.exception("lane.failed", work=kind.word, connector=place[0], instance_id=place[1])
            failed, succeeded = 1, 0
        self.closed[place] = steady_seconds() + (float("inf") if failed else LOOK_EVERY_SECONDS)
        self.done[kind.word] += succeeded

    def _has_room_for_trouble(self) -> bool:
        in_trouble = sum(trouble for _, _, trouble in self.busy.values())
        return in_trouble < LANES - 1 and steady_seconds() - self.began < TROUBLE_AT_MOST_SECONDS


def go_through(kinds: Sequence[Kind], runtime: Runtime, *, meanwhile: Callable[[], Counter[str]]) -> Counter[str]:
    """Do what is due of these kinds until nothing is left but what failed; return how much of each succeeded.

    Parameters
    ----------
    meanwhile
        Does quickly, in this thread, what needs no lane; called again and again, and what it did is added.
    """
    run = _Run(kinds, runtime)
    with _lanes() as pool:
        while True:
            run.done += meanwhile()
            for kind, place, in_trouble in run.next_ones():
                if len(run.busy) == LANES:
                    break
                run.busy[_submit(pool, lambda one: _drive(*one), (kind, place, runtime))] = kind, place, in_trouble
            if not run.busy:
                return run.done
            for future in wait(run.busy, timeout=LOOK_EVERY_SECONDS, return_when=FIRST_COMPLETED).done:
                run.take(future)


def side_by_side(items: Iterable[I], work: Callable[[I], O]) -> Iterator[O]:
    """Yield what some work says of each item, in the items' order; a few are at work at once."""
    with _lanes() as pool:
        for future in [_submit(pool, work, item) for item in items]:
            yield future.result()


def _drive(kind: Kind, place: Place, runtime: Runtime) -> tuple[int, int]:
    """Go on at one place until an attempt does not succeed; return how many failed, and how many succeeded."""
    succeeded = 0
    while may_go_on():
        tried, ended = kind.attempt(place, runtime)
        succeeded += ended
        if not ended:
            return tried, succeeded
    return 0, succeeded


@contextmanager
def _lanes() -> Iterator[ThreadPoolExecutor]:
    """Have threads for a while; what was not begun when something is raised never is, what was begun is waited for."""
    pool = ThreadPoolExecutor(LANES, thread_name_prefix="lane")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ThreadPoolExecutor, work: Callable[[I], O], item: I) -> Future[O]:
    """Have a thread work in a context of its own that knows what this one does: the job, its lease, its log's words."""
    app = application()

    def do() -> O:
        with app.app_context():
            return work(item)

    return pool.submit(copy_context().run, do)
