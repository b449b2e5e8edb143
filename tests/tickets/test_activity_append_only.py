"""S51: the database itself refuses to change, remove or replace a row of activity, whoever asks in SQL."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from tempadmin.db import db
from tests.tamper import without_triggers
from tests.tickets.evidence import dump
from tests.world import World
from tickets.models import Activity

COLUMNS = "request_id, instance_id, occurred_at, actor_id, actor_name, subject_id, method, path, status, did"
FORGED = "request_id, instance_id, occurred_at, 99, 'Somebody else', subject_id, method, path, status, did"
SAME = f"INTO activity (id, {COLUMNS}) SELECT 2, {FORGED} FROM activity WHERE id = 2"
EDITS = {
    "another person": "UPDATE activity SET actor_name = 'Somebody else', actor_id = 99 WHERE id = 2",
    "another person everywhere": "UPDATE activity SET actor_id = 99",
    "another status": "UPDATE activity SET status = 200, did = 'Looked at users' WHERE id = 3",
    "nothing": "UPDATE activity SET id = id WHERE id = 2",
    "a delete of one": "DELETE FROM activity WHERE id = 2",
    "a delete of all": "DELETE FROM activity",
    "an existing id": f"INSERT {SAME}",
    "an upsert": f"INSERT {SAME} ON CONFLICT (id) DO UPDATE SET actor_id = excluded.actor_id",
    "an insert that does nothing on conflict": f"INSERT {SAME} ON CONFLICT DO NOTHING",
}
SQLITE_EDITS = {
    "a row replaced": f"INSERT OR REPLACE {SAME}",
    "a row replaced in short": f"REPLACE {SAME}",
    "an insert that ignores": f"INSERT OR IGNORE {SAME}",
    "an update that replaces": "UPDATE OR REPLACE activity SET id = 3 WHERE id = 2",
    "an update that ignores": "UPDATE OR IGNORE activity SET actor_id = 99 WHERE id = 2",
}
POSTGRESQL_EDITS = {
    "truncate": "TRUNCATE activity",
    "truncate that cascades": "TRUNCATE activity, job_states RESTART IDENTITY CASCADE",
    "a merge": "MERGE INTO activity USING (SELECT 2 AS id) AS other ON activity.id = other.id "
    "WHEN MATCHED THEN UPDATE SET actor_id = 99",
}


@pytest.fixture
def written(world: World) -> World:
    """Three rows."""
    with db.engine.begin() as connection:
        for number in range(3):
            row = dict.fromkeys(("request_id", "instance_id", "actor_id", "subject_id"), number)
            words = {"actor_name": "Ada Brandt", "method": "GET", "path": "/users", "did": "Looked at users"}
            connection.execute(insert(Activity).values(**row, **words, status=403, occurred_at=world.clock.now()))
    return world


def refuse(world: World, statement: str) -> None:
    before = dump(world)
    with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
        connection.execute(text(statement))
    assert dump(world) == before


@pytest.mark.parametrize("what", EDITS)
def test_s51_raw_sql_cannot_change_activity(what: str, written: World) -> None:
    """Neither who it was, nor what came of it; nor can a row be taken away or put in another's place."""
    refuse(written, EDITS[what])


@pytest.mark.only_sqlite
@pytest.mark.parametrize("what", SQLITE_EDITS)
def test_s51_sqlite_ways_around_are_closed_for_activity(what: str, written: World) -> None:
    """REPLACE deletes what is in its way without any trigger's knowledge; IGNORE swallows errors of constraints."""
    refuse(written, SQLITE_EDITS[what])


@pytest.mark.only_postgresql
@pytest.mark.parametrize("what", POSTGRESQL_EDITS)
def test_s51_postgresql_cannot_truncate_or_merge_activity(what: str, written: World) -> None:
    """TRUNCATE fires no trigger of a row."""
    refuse(written, POSTGRESQL_EDITS[what])


def test_s51_the_triggers_are_what_refuses_for_activity(written: World) -> None:
    """Without them the same statement goes through; afterwards they refuse again."""
    with without_triggers("activity"), db.engine.begin() as connection:
        connection.execute(text(EDITS["another person"]))
    assert list(db.session.scalars(select(Activity.actor_id).order_by(Activity.id))) == [0, 99, 2]
    refuse(written, EDITS["a delete of one"])
