"""Instances elsewhere by the dozen, some of which do not answer until a test lets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event

from sqlalchemy import update

from instances.connectors import patience
from instances.connectors.base import Account, ConnectorError, Found
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from tempadmin.clock import steady_seconds
from tempadmin.db import db, transaction
from tests.tickets.crowd import crowd
from tests.world import World
from tickets.models import AccessRequest
from tickets.states import EndReason, State

PATIENCE = 20
FAR = "far"


class Hanging(LocalConnector):
    """A directory elsewhere; what hangs waits for ``go``, and then says that it was too late."""

    batch = 1
    elsewhere = True
    joins = False
    reads = False
    """Whether it lists what it has also while it hangs."""
    obeys = False
    """Whether it does in the end what it hung over."""

    def __init__(self) -> None:
        self.go, self.hanging, self.both = Event(), set[int](), False
        self._lock, self.under_way, self.most = threading.Lock(), list[int](), 0
        self.asked: list[int] = []

    def remove(self, account: Account) -> None:
        with self._called(account.instance_id):
            super().remove(account)

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        with self._called(account.instance_id):
            super().create(account, still_wanted=still_wanted)

    def listed(self, instance_id: int) -> Iterator[Found]:
        if self.reads:
            return
        with self._called(instance_id):
            yield from ()

    @contextmanager
    def _called(self, instance_id: int) -> Iterator[None]:
        with self._lock:
            self.asked.append(instance_id)
            self.both |= instance_id in self.under_way
            self.under_way.append(instance_id)
            self.most = max(self.most, len(self.under_way))
        try:
            if instance_id in self.hanging:
                assert self.go.wait(PATIENCE)
            if instance_id in self.hanging and not self.obeys:
                raise ConnectorError("no whole answer within 5 s")
            yield
        finally:
            with self._lock:
                self.under_way.remove(instance_id)


class Slow(Hanging):
    """Answers after a second; notes how long it might have taken."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[float] = []

    def remove(self, account: Account) -> None:
        self.left.append(patience.seconds_left() or 0)
        Event().wait(1.1)
        super().remove(account)


class Odd(Hanging):
    """Breaks down in a way that nobody foresaw."""

    def listed(self, instance_id: int) -> Iterator[Found]:
        raise RuntimeError


def far_instances(world: World, many: int) -> tuple[Hanging, list[int]]:
    """A connector, and instances that use it."""
    far = Hanging()
    connectors(world.app)[FAR] = far
    return far, [world.instance(f"c{number}", connector=FAR).id for number in range(many)]


def ending(world: World, instances: list[int], *, people: int = 1, who: str = "op") -> list[int]:
    """Requests at each instance whose accounts are to be removed now; those of the first instances are due longest."""
    ops = [world.omniadmin(f"{who}{number}@operator.example").id for number in range(people)]
    ids = crowd(requesters=ops, instances=instances, ends_at=world.clock.now(), connector=FAR)
    values = {"state": State.ENDING, "end_reason": EndReason.TIME_LIMIT, "ending_at": world.clock.now()}
    with transaction() as session:
        for number, request_id in enumerate(ids):
            due = world.clock.now() - timedelta(seconds=len(ids) - number)
            here = update(AccessRequest).where(AccessRequest.id == request_id)
            session.execute(here.values(**values, next_attempt_at=due))
    return ids


def states(ids: list[int]) -> dict[int, str]:
    db.session.rollback()
    rows = db.session.execute(db.select(AccessRequest.id, AccessRequest.state).where(AccessRequest.id.in_(ids)))
    return dict(rows.all())


def come_true(condition: Callable[[], bool]) -> None:
    ends = steady_seconds() + PATIENCE
    while not condition():
        assert steady_seconds() < ends
        Event().wait(0.05)


@contextmanager
def meanwhile(world: World, work: Callable[[], object]) -> Iterator[list[object]]:
    """Have something done in a thread of its own; its outcome is there afterwards."""
    outcome: list[object] = []

    def do() -> None:
        try:
            with world.app.app_context():
                outcome.append(work())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield outcome
    finally:
        for connector in connectors(world.app).values():
            if isinstance(connector, Hanging):
                connector.go.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
