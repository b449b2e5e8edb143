"""The mark outlives a prune: an older database is still noticed, and one that was pruned is not taken for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from instances.models import VirtualInstance
from tempadmin.audit.beginnings import database_name
from tempadmin.audit.models import AuditEvent
from tempadmin.backup import mark, watch
from tempadmin.db import db
from tempadmin.errors import Conflict
from tests.backup.conftest import Back
from tests.backup.test_commands import Command, command
from tests.tempadmin.pruned import all_hold, archive_of, interrupted, month_ago, prune_all, write_events
from tests.world import World

Take = Callable[[], Back]
__all__ = ["command"]  # the fixture


@pytest.fixture
def old(world: World, acme: VirtualInstance) -> World:
    """Two chains with a past, and a mark of it."""
    write_events(world, 5, 1, acme.id)
    assert watch.look(world.runtime) is None
    world.clock.advance(days=40)
    return world


def write_old_events(world: World, count: int) -> None:
    """Write events of 40 days ago into the first chain."""
    world.clock.time -= timedelta(days=40)
    write_events(world, count, 1)
    world.clock.time += timedelta(days=40)


def name_of(world: World) -> str | None:
    with db.engine.connect() as connection:
        return database_name(connection)


def test_p10_a_pruned_database_is_still_itself(old: World) -> None:
    """By its first event, which is gone; and whoever was away since before does not take it for an older one."""
    name, seen = name_of(old), mark.read(old.runtime.settings.data)
    prune_all(old)
    assert name_of(old) == name
    assert watch.look(old.runtime) is None
    assert seen is not None
    mark.write(old.runtime.settings.data, seen)  # of a machine that was off meanwhile
    assert watch.look(old.runtime) is None
    assert all_hold(old)


def test_p3_a_copy_from_before_a_prune_is_noticed(old: World, take: Take) -> None:
    """It begins anew, and can be pruned again, into another file."""
    back = take()
    prune_all(old)
    write_events(old, 1, 1)
    watch.look(old.runtime)
    back()
    begun = watch.look(old.runtime)
    assert begun is not None
    assert watch.look(old.runtime) is None
    assert prune_all(old, archive_of(old).with_name("again.jsonl")).events == 10
    assert all_hold(old)


def test_p3_a_copy_from_after_a_prune_is_noticed(old: World, take: Take) -> None:
    """What its checkpoint covers excuses nothing that came later."""
    prune_all(old)
    back = take()
    write_events(old, 1, 1)
    watch.look(old.runtime)
    back()
    assert watch.look(old.runtime) is not None


@pytest.mark.only_sqlite
@pytest.mark.parametrize("since", [0, 3])
def test_s51_an_archive_of_a_time_that_was_lost_is_not_gone_on_with(since: int, old: World, take: Take) -> None:
    """The database was restored between the file and the checkpoint: what is there now is not what was archived."""
    back, before = take(), month_ago(old)
    write_old_events(old, 3)
    with interrupted("tempadmin.audit.prune._archived:after archive"):
        prune_all(old, before=before)
    back()
    write_old_events(old, since)
    with pytest.raises(Conflict, match="not the one that was archived"):
        prune_all(old, before=before)
    assert db.session.scalar(select(func.count()).where(AuditEvent.event == "test.happened")) == 10 + since
    assert all_hold(old)


@pytest.mark.only_sqlite
def test_p3_a_backup_made_before_a_prune_is_restored(old: World, command: Command, tmp_path: Path) -> None:
    """With all that was archived since; what it lost of the time after is counted as far as the record still says."""
    copy = tmp_path / "before.db"
    assert command("backup", str(copy)).exit_code == 0
    prune_all(old)
    write_events(old, 2, 1)
    done = command("restore", str(copy))
    assert done.exit_code == 0, done.output
    assert "Changed since, and lost with the former database: audit.checkpoint 2, test.happened 2." in done.stdout
    assert all_hold(old)
    assert watch.look(old.runtime) is None


@pytest.mark.only_sqlite
def test_p3_a_backup_made_after_a_prune_is_restored(old: World, command: Command, tmp_path: Path) -> None:
    """Its checkpoint comes along, and its chains begin there."""
    prune_all(old)
    copy = tmp_path / "after.db"
    made = command("backup", str(copy))
    assert (made.exit_code, "run: tempadmin doctor" in made.stderr) == (0, False)
    write_events(old, 2, 1)
    done = command("restore", str(copy))
    assert done.exit_code == 0, done.output
    assert "Changed since, and lost with the former database: test.happened 2." in done.stdout
    assert all_hold(old)
    assert watch.look(old.runtime) is None
