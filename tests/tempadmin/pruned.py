"""Chains with an old part, and what prunes them as the command does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tempadmin import failpoints
from tempadmin.audit.log import SERVICE, Actor, record
from tempadmin.audit.plan import plan_for
from tempadmin.audit.prune import Pruned, begun_in, prune
from tempadmin.audit.queries import instance_ids, verify
from tempadmin.db import db, transaction
from tests.world import World

OPERATOR = Actor(id=None, name="operator (command line)", via="command line")


def write_events(world: World, count: int, *chains: int) -> None:
    """Write so many events into each chain, a second apart."""
    for turn in range(count):
        with transaction():
            at = world.clock.advance(seconds=1)
            for chain in chains:
                record("test.happened", instance_id=chain, actor=SERVICE, at=at, turn=turn)


def month_ago(world: World) -> datetime:
    """The youngest moment before which anything may go."""
    return world.clock.now() - timedelta(days=30)


def archive_of(world: World) -> Path:
    """A file beside the mails of the world."""
    return world.runtime.settings.data / "old.jsonl"


def prune_all(
    world: World, file: Path | None = None, *, before: datetime | None = None, only: int | None = None
) -> Pruned:
    """Prune what is older than a month, or go on with it."""
    file, before = file or archive_of(world), before or month_ago(world)
    begun = begun_in(file, before=before, instance_id=only, runtime=world.runtime)
    plan = begun or plan_for(before=before, instance_id=only, runtime=world.runtime)
    return prune(plan=plan, file=file, actor=OPERATOR, runtime=world.runtime, progress=lambda _rows: None)


class Stopped(Exception):
    """Raised in the place of a kill."""


@contextmanager
def interrupted(point: str, *, time: int = 1) -> Iterator[None]:
    """Have whatever is done in here stop at a failpoint; fail if it never comes there."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == point
        if reached == point and seen == time:
            raise Stopped

    failpoints.hook = stop
    try:
        with pytest.raises(Stopped):
            yield
    finally:
        failpoints.hook = None
        db.session.rollback()


def all_hold(world: World) -> bool:
    """Whether every chain verifies."""
    db.session.rollback()
    return all(not list(verify(instance_id=one, runtime=world.runtime)) for one in instance_ids())
