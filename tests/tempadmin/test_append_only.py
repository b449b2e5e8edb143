"""S51: the database itself refuses to change, remove or replace an audit event, whoever asks in SQL."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from tempadmin.audit.log import SERVICE, record
from tempadmin.audit.models import AuditEvent
from tempadmin.audit.queries import verify
from tempadmin.db import db, transaction
from tests.tamper import without_triggers
from tests.tempadmin.stage import everything
from tests.world import World

COLUMNS = "instance_id, number, occurred_at, event, actor_name, details, previous_hash, hash"
REST = "occurred_at, 'forged', actor_name, details, previous_hash, hash FROM audit_events WHERE id = 2"
EDITS = {
    "an edit of one": "UPDATE audit_events SET details = '{}' WHERE id = 2",
    "an edit of all": "UPDATE audit_events SET actor_name = 'Somebody else'",
    "an edit that changes nothing": "UPDATE audit_events SET id = id WHERE id = 2",
    "a delete of one": "DELETE FROM audit_events WHERE id = 2",
    "a delete of all": "DELETE FROM audit_events",
    "an existing id": f"INSERT INTO audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST}",
    "an existing number": f"INSERT INTO audit_events (id, {COLUMNS}) SELECT 99, 1, 2, {REST}",
    "an upsert": f"INSERT INTO audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST} "
    "ON CONFLICT (id) DO UPDATE SET event = excluded.event",
    "an insert that does nothing on conflict": f"INSERT INTO audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST} "
    "ON CONFLICT DO NOTHING",
}
SQLITE_EDITS = {
    "an id replaced": f"INSERT OR REPLACE INTO audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST}",
    "a number replaced": f"REPLACE INTO audit_events ({COLUMNS}) SELECT 1, 2, {REST}",
    "an insert that ignores": f"INSERT OR IGNORE INTO audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST}",
    "an update that replaces": "UPDATE OR REPLACE audit_events SET number = 3 WHERE id = 2",
    "an update that ignores": "UPDATE OR IGNORE audit_events SET event = 'forged' WHERE id = 2",
}
POSTGRESQL_EDITS = {
    "truncate": "TRUNCATE audit_events",
    "truncate that cascades": "TRUNCATE audit_events, job_states RESTART IDENTITY CASCADE",
    "a merge": "MERGE INTO audit_events USING (SELECT 2 AS id) AS other ON audit_events.id = other.id "
    "WHEN MATCHED THEN UPDATE SET event = 'forged'",
}


@pytest.fixture
def recorded(world: World) -> World:
    """Three events in the default instance's chain."""
    for turn in range(3):
        with transaction():
            record("test.happened", instance_id=1, actor=SERVICE, at=world.clock.advance(seconds=1), turn=turn)
    return world


def refuse(world: World, statement: str) -> None:
    before = everything(world)
    with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
        connection.execute(text(statement))
    assert everything(world) == before
    assert list(verify(instance_id=1, runtime=world.runtime)) == []


@pytest.mark.parametrize("what", EDITS)
def test_s51_raw_sql_cannot_change_the_record(what: str, recorded: World) -> None:
    """Neither an update, nor a delete, nor an insert in the place of an event."""
    refuse(recorded, EDITS[what])


@pytest.mark.only_sqlite
@pytest.mark.parametrize("what", SQLITE_EDITS)
def test_s51_sqlite_ways_around_an_insert_or_update_are_closed(what: str, recorded: World) -> None:
    """REPLACE deletes what is in its way without any trigger's knowledge; IGNORE swallows errors of constraints."""
    refuse(recorded, SQLITE_EDITS[what])


@pytest.mark.only_postgresql
@pytest.mark.parametrize("what", POSTGRESQL_EDITS)
def test_s51_postgresql_cannot_truncate_or_merge(what: str, recorded: World) -> None:
    """TRUNCATE fires no trigger of a row."""
    refuse(recorded, POSTGRESQL_EDITS[what])


@pytest.mark.only_postgresql
def test_s51_a_temporary_table_does_not_stand_in_for_the_record(recorded: World) -> None:
    """The trigger looks into its own table, whatever else bears the name in the session that inserts."""
    forged = f"INSERT INTO public.audit_events (id, {COLUMNS}) SELECT 2, 1, 99, {REST}"
    elsewhere = forged.replace("FROM audit_events WHERE id = 2", "FROM pg_temp.audit_events LIMIT 1")
    with db.engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE audit_events AS SELECT * FROM audit_events"))
        connection.execute(text("UPDATE pg_temp.audit_events SET id = id + 100, number = number + 100"))
        with pytest.raises(IntegrityError, match="append-only"):
            connection.execute(text(elsewhere))


def test_s51_new_events_are_still_written(recorded: World) -> None:
    """The chain goes on, and holds."""
    with transaction():
        record("test.happened", instance_id=1, actor=SERVICE, at=recorded.clock.now())
    assert db.session.scalars(select(AuditEvent.number).order_by(AuditEvent.id)).all() == [1, 2, 3, 4]
    assert list(verify(instance_id=1, runtime=recorded.runtime)) == []


def test_s51_the_triggers_are_what_refuses(recorded: World) -> None:
    """Without them the same statement goes through, and the chain tells of it; afterwards they refuse again."""
    with without_triggers(), db.engine.begin() as connection:
        connection.execute(text(EDITS["an edit of one"]))
    assert [fault.number for fault in verify(instance_id=1, runtime=recorded.runtime)] == [2]
    with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
        connection.execute(text(EDITS["a delete of one"]))
