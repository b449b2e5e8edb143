"""S51, S52: below a signed checkpoint rows may go, in their order; whatever else is tried is refused, or found."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tempadmin.audit.beginnings import sign
from tempadmin.audit.models import AuditCheckpoint
from tempadmin.audit.queries import verify
from tempadmin.db import db, transaction
from tempadmin.doctor.contents import audit_heads
from tests.tamper import without_triggers
from tests.tempadmin.pruned import all_hold, interrupted, prune_all, write_events
from tests.tempadmin.stage import everything
from tests.world import World

CHECKPOINT = "INSERT INTO audit_checkpoints SELECT 2, {number}, hash, {event}, occurred_at, occurred_at, 1, hash, id, "
CHECKPOINT += "{activity}, hash FROM audit_events WHERE instance_id = 2 AND number = {number}"
REFUSED = {
    "the first above a checkpoint": "DELETE FROM audit_events WHERE instance_id = 1 AND number = 11",
    "a checkpoint's own event": "DELETE FROM audit_events WHERE instance_id = 1 AND number = 13",
    "all of a chain": "DELETE FROM audit_events WHERE instance_id = 1",
    "a chain without a checkpoint": "DELETE FROM audit_events WHERE instance_id = 2 AND number = 1",
    "a checkpoint": "DELETE FROM audit_checkpoints",
    "a checkpoint moved on to no event": "UPDATE audit_checkpoints SET number = 99, last_id = 99, event_number = 100",
    "a checkpoint moved back": "UPDATE audit_checkpoints SET number = 9",
    "a checkpoint that stays": "UPDATE audit_checkpoints SET archived_before = made_at",
    "a checkpoint that renames the database": "UPDATE audit_checkpoints SET first_hash = hash",
    "a checkpoint above the event that is to say so": CHECKPOINT.format(number=2, event=2, activity=0),
    "a checkpoint at no event": CHECKPOINT.format(number=2, event=3, activity=0).replace(", hash, 3", ", 'other', 3"),
}
REPLACED = "INSERT OR REPLACE INTO audit_checkpoints SELECT * FROM audit_checkpoints"


@pytest.fixture
def pruned(world: World) -> World:
    """A chain that was pruned up to event 10 and goes on to 16; another one with events 1 to 3 and no checkpoint."""
    write_events(world, 10, 1)
    world.clock.advance(days=31)
    write_events(world, 2, 1)
    prune_all(world)
    write_events(world, 3, 1, 2)
    return world


def refuse(world: World, statement: str) -> None:
    before = everything(world)
    with pytest.raises(IntegrityError, match=r"append-only|only move forward"), db.engine.begin() as connection:
        connection.execute(text(statement))
    assert everything(world) == before
    assert all_hold(world)


def test_s51_raw_sql_deletes_nothing_but_below_a_checkpoint(pruned: World) -> None:
    """Nor does it move a checkpoint back, off the chain, or away."""
    for statement in REFUSED.values():
        refuse(pruned, statement)


@pytest.mark.only_sqlite
def test_s51_a_checkpoint_is_not_replaced(pruned: World) -> None:
    """REPLACE deletes what is in its way without any trigger's knowledge."""
    refuse(pruned, REPLACED)


@pytest.mark.only_postgresql
def test_s51_checkpoints_are_not_truncated(pruned: World) -> None:
    """TRUNCATE fires no trigger of a row."""
    refuse(pruned, "TRUNCATE audit_checkpoints")


@pytest.mark.only_postgresql
def test_s51_a_temporary_table_does_not_stand_in_for_a_checkpoint(pruned: World) -> None:
    """The triggers look into the tables beside their own, whatever else bears the name in the session that deletes."""
    with db.engine.connect() as connection:
        for name in ("audit_checkpoints", "audit_events"):
            connection.execute(text(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {name}"))
            connection.execute(text(f"UPDATE pg_temp.{name} SET number = number + 100, instance_id = 2"))
        connection.execute(text("UPDATE pg_temp.audit_checkpoints SET event_number = 113"))
        with pytest.raises(IntegrityError, match="append-only"):
            connection.execute(text("DELETE FROM public.audit_events WHERE instance_id = 2"))


def test_s51_a_checkpoint_that_no_event_speaks_of_lets_nothing_go(pruned: World) -> None:
    """Whoever can only write rows would have to write one into the chain, too, where the whole world sees it."""
    with db.engine.begin() as connection:
        connection.execute(text(CHECKPOINT.format(number=2, event=3, activity=0)))
    with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_events WHERE instance_id = 2 AND number <= 2"))
    assert [one.message for one in verify(instance_id=2, runtime=pruned.runtime)] == [
        "the checkpoint at this event was forged or moved: its signature does not fit"
    ]


AT = "number = {0}, last_id = {0}, hash = (SELECT hash FROM audit_events WHERE number = {0})"
FORWARD = AT.format(8) + ", event_number = 9, activity_id = 5"
BACKWARD = {
    "to an event below": (AT.format(8), AT.format(3)),
    "to the same event": (AT.format(8), AT.format(5)),
    "with the same event to say so": ("event_number = 9", "event_number = 6"),
    "with an event to say so that is archived, too": ("event_number = 9", "event_number = 8"),
    "with less activity": ("activity_id = 5", "activity_id = -1"),
    "of another database": ("activity_id = 5", "activity_id = 5, first_id = 2"),
    "to another chain": ("activity_id = 5", "activity_id = 5, instance_id = 2"),
    "to another hash": ("WHERE number = 8)", "WHERE number = 7)"),
}


@pytest.fixture
def half_pruned(world: World) -> World:
    """A checkpoint at event 5 with all of its elders there, its own event 6, and younger ones up to 10."""
    write_events(world, 5, 1)
    world.clock.advance(days=31)
    with interrupted("tempadmin.audit.pruning._delete:begun"):
        prune_all(world)
    write_events(world, 4, 1)
    return world


def test_s51_a_checkpoint_only_moves_forward(half_pruned: World) -> None:
    """To a later event of its own chain, for a later event that says so; nothing of it ever becomes less."""
    for change in BACKWARD.values():
        refuse(half_pruned, f"UPDATE audit_checkpoints SET {FORWARD.replace(*change)}")
    with db.engine.begin() as connection:
        connection.execute(text(f"UPDATE audit_checkpoints SET {FORWARD}"))


def test_s51_below_a_checkpoint_events_go_oldest_first(half_pruned: World) -> None:
    """So whatever is left at any moment is a chain without a gap."""
    for refused in ("number = 2", "number IN (1, 3)", "number = 5"):
        refuse(half_pruned, f"DELETE FROM audit_events WHERE {refused}")
    for allowed in ("number = 1", "number <= 3"):
        with db.engine.begin() as connection:
            connection.execute(text(f"DELETE FROM audit_events WHERE {allowed}"))
        assert all_hold(half_pruned)


@pytest.mark.only_sqlite
def test_s52_doctor_says_where_a_pruned_chain_does_not_begin_where_it_should(pruned: World) -> None:
    """It counts from the checkpoint on; while events are being deleted, from the first that is left."""
    assert [one.level for one in audit_heads(pruned.runtime)] == ["ok"]
    with without_triggers(), db.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_events WHERE instance_id = 1 AND number = 11"))
    (found,) = audit_heads(pruned.runtime)
    assert "should begin with event 11; it begins with event 12" in found.message


@pytest.mark.only_sqlite
def test_p13_doctor_finds_nothing_while_events_are_being_deleted(half_pruned: World) -> None:
    """A prune that was interrupted leaves a sound record."""
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_events WHERE number <= 2"))
    assert [one.level for one in audit_heads(half_pruned.runtime)] == ["ok"]
    assert all_hold(half_pruned)


FORGERIES = {
    "moved on, with what lay below": ("UPDATE audit_checkpoints SET number = 11", "number <= 11"),
    "moved back": ("UPDATE audit_checkpoints SET number = 9", "number < 0"),
    "of another database": ("UPDATE audit_checkpoints SET first_hash = hash", "number < 0"),
    "of other activity": ("UPDATE audit_checkpoints SET activity_id = 99", "number < 0"),
    "taken away": ("DELETE FROM audit_checkpoints", "number < 0"),
}


@pytest.mark.only_sqlite
@pytest.mark.parametrize("what", FORGERIES)
def test_s52_a_forged_or_moved_checkpoint_is_found(what: str, pruned: World) -> None:
    """Also by somebody who may change the schema: they have no key."""
    move, gone = FORGERIES[what]
    with without_triggers(), without_triggers("audit_checkpoints"), db.engine.begin() as connection:
        connection.execute(text(move))
        connection.execute(text(f"DELETE FROM audit_events WHERE instance_id = 1 AND {gone}"))
    assert not all_hold(pruned)


@pytest.mark.only_sqlite
@pytest.mark.parametrize("gone", ["number = 11", "number <= 12", "number = 13", "number >= 13"])
def test_s52_what_is_missing_above_a_checkpoint_is_found(gone: str, pruned: World) -> None:
    """Right above it, the event that speaks of it, and the tail."""
    with without_triggers(), db.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM audit_events WHERE instance_id = 1 AND {gone}"))
    assert not all_hold(pruned)


@pytest.mark.only_sqlite
def test_s52_a_signed_checkpoint_that_its_event_does_not_confirm_is_found(pruned: World) -> None:
    """A key that signs checkpoints is not enough: the chain says in its own words what was archived."""
    with without_triggers("audit_checkpoints"), transaction() as session:
        checkpoint = session.get_one(AuditCheckpoint, 1)
        checkpoint.activity_id = 99
        checkpoint.signature = sign(checkpoint, pruned.runtime)
    (fault,) = verify(instance_id=1, runtime=pruned.runtime)
    assert (fault.number, "does not say what the checkpoint says" in fault.message) == (13, True)
