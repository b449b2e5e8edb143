"""The migrated schema is the expected one, triggers included, and whatever was done to it is named (design §10)."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tempadmin.db import db
from tempadmin.schema import drift, revisions
from tests.world import World

ON_BOTH = {
    "users: index uq_users_instance_id_email is missing": "DROP INDEX uq_users_instance_id_email",
    "tickets: index uq_tickets_live is ": """
        DROP INDEX uq_tickets_live;
        CREATE UNIQUE INDEX uq_tickets_live ON tickets (request_id, purpose) WHERE used_at IS NULL""",
    "users: index ix_users_instance_id_kind_full_name_id is unique": """
        DROP INDEX ix_users_instance_id_kind_full_name_id;
        CREATE UNIQUE INDEX ix_users_instance_id_kind_full_name_id ON users (instance_id, kind, full_name, id)""",
    "users: index extra is not expected: (email)": "CREATE INDEX extra ON users (email)",
    "users: column extra is not expected: INTEGER": "ALTER TABLE users ADD COLUMN extra INTEGER",
    "job_states: the table is missing": "DROP TABLE job_states",
    "_alembic_tmp_users: this table is not expected": "CREATE TABLE _alembic_tmp_users (id INTEGER)",
}
ON_POSTGRESQL = {
    "users: column email is VARCHAR(254), expected": "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
    "users: column email is VARCHAR(100) not null": "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR(100)",
    "users: column role is VARCHAR(20) not null default": "ALTER TABLE users ALTER role SET DEFAULT 'omniadmin'",
    "users: column created_at is TIMESTAMP WITHOUT": "ALTER TABLE users ALTER created_at TYPE TIMESTAMP",
    "users: check ck_users_shape is missing": "ALTER TABLE users DROP CONSTRAINT ck_users_shape",
    "users: check ck_users_kind is ": """
        ALTER TABLE users DROP CONSTRAINT ck_users_kind;
        ALTER TABLE users ADD CONSTRAINT ck_users_kind CHECK (kind IN ('regular', 'temporary', 'other'))""",
    "tickets: unique key uq_tickets_digest is missing": "ALTER TABLE tickets DROP CONSTRAINT uq_tickets_digest",
    "tickets: foreign key fk_tickets_request_id is m": "ALTER TABLE tickets DROP CONSTRAINT fk_tickets_request_id",
    "audit_events: trigger audit_events_append_only is mis": "DROP TRIGGER audit_events_append_only ON audit_events",
    "audit_events: trigger audit_events_no_truncate is ": "ALTER TABLE audit_events DISABLE TRIGGER USER",
    "audit_events: trigger audit_events_append_only is ": """
        CREATE OR REPLACE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RETURN NEW@ END'""",
}
ON_SQLITE = {
    "audit_events: trigger audit_events_no_replace is missing": "DROP TRIGGER audit_events_no_replace",
    "audit_events: trigger audit_events_no_update is ": """
        DROP TRIGGER audit_events_no_update;
        CREATE TRIGGER audit_events_no_update BEFORE UPDATE OF hash ON audit_events
        BEGIN SELECT RAISE(ABORT, 'audit events are append-only: UPDATE is refused')@ END""",
    "users: trigger spy is not expected": "CREATE TRIGGER spy AFTER INSERT ON users BEGIN SELECT 1@ END",
}
IN_ITS_TEXT = {
    "users: AUTOINCREMENT is missing": (" AUTOINCREMENT", ""),
    "users: column email is VARCHAR(100) not null": ("email VARCHAR(254)", "email VARCHAR(100)"),
    "users: column email is VARCHAR(254), expected": ("email VARCHAR(254) NOT NULL", "email VARCHAR(254)"),
    "users: check ck_users_kind is ": ("'regular', 'temporary'", "'regular', 'temporary', 'other'"),
    "users: foreign key fk_users_instance_id is ": (" ON DELETE RESTRICT", ""),
}


def run(statements: str) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        for statement in statements.split(";"):
            connection.execute(text(statement.replace("@", ";")))


def assert_named(difference: str) -> None:
    found = drift()
    assert [line for line in found if line.startswith(difference)], found


def test_the_migrated_schema_does_not_differ(world: World) -> None:
    """Migrations and models make the same schema, and looking at it leaves nothing behind."""
    assert drift() == []
    assert drift() == []
    present, newest, known = revisions()
    assert present == newest
    assert newest <= known


@pytest.mark.parametrize("difference", ON_BOTH)
def test_what_was_done_to_the_schema_is_named(difference: str, world: World) -> None:
    """Indexes with their WHERE, columns and tables."""
    run(ON_BOTH[difference])
    assert_named(difference)


@pytest.mark.only_postgresql
@pytest.mark.parametrize("difference", ON_POSTGRESQL)
def test_what_was_done_to_postgresql_is_named(difference: str, world: World) -> None:
    """Types, defaults, nullability, constraints, and triggers that are gone, switched off or hollow."""
    run(ON_POSTGRESQL[difference])
    assert_named(difference)


@pytest.mark.only_sqlite
@pytest.mark.parametrize("difference", ON_SQLITE)
def test_what_was_done_to_sqlite_is_named(difference: str, world: World) -> None:
    """Triggers that are gone, hollow or somebody else's."""
    run(ON_SQLITE[difference])
    assert_named(difference)


@pytest.mark.only_sqlite
@pytest.mark.parametrize("difference", IN_ITS_TEXT)
def test_what_a_table_lost_on_sqlite_is_named(difference: str, world: World) -> None:
    """As a rebuilt table comes out of a careless migration: no AUTOINCREMENT, another type, another check."""
    old, new = (part.replace("'", "''") for part in IN_ITS_TEXT[difference])
    run(
        "PRAGMA writable_schema=ON;"
        f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE type = 'table' AND name = 'users'"
    )
    db.engine.dispose()
    assert_named(difference)
