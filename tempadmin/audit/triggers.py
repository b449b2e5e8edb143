"""The triggers that keep audit events as they were written (S51), as this version expects to find them.

The application lets nobody edit its record, and the chain betrays whoever does; these triggers refuse it in the
database too, from any program that has its password and not the right to change its schema. Only what lies below a
checkpoint may go, from the chain's beginning on and without a gap: whether the checkpoint is signed is for
``audit verify`` to say, for the database has no key.

Migrations hold their own text and not this one: what revision 0002 made must stay what it made, also after this text
has changed. A new text here needs a new revision; until it exists, the comparison of schemas (``tempadmin.schema``)
fails, in a test and in ``doctor``.
"""

from __future__ import annotations

SQLITE = {
    "audit_events_no_update": """
        CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: UPDATE is refused');
        END
    """,
    "audit_events_no_delete": """
        CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
        WHEN EXISTS (SELECT 1 FROM audit_events WHERE instance_id = OLD.instance_id AND number < OLD.number)
            OR NOT EXISTS (
                SELECT 1 FROM audit_checkpoints AS below JOIN audit_events AS said
                ON said.instance_id = below.instance_id AND said.number = below.event_number
                WHERE below.instance_id = OLD.instance_id AND below.number >= OLD.number
                AND said.event = 'audit.checkpoint'
            )
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: DELETE is refused');
        END
    """,
    # INSERT OR REPLACE deletes what is in its way, and no trigger hears of that (measured).
    "audit_events_no_replace": """
        CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
        WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
            OR EXISTS (SELECT 1 FROM audit_events WHERE instance_id = NEW.instance_id AND number = NEW.number)
        BEGIN
            SELECT RAISE(ABORT, 'audit events are append-only: INSERT of an existing one is refused');
        END
    """,
}

# The table is named by its own identity: a temporary table of the same name must not stand in for it.
POSTGRESQL_FUNCTION = """
DECLARE
    taken boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        EXECUTE format(
            'SELECT EXISTS (SELECT 1 FROM %s WHERE id = $1 OR (instance_id = $2 AND number = $3))', TG_RELID::regclass
        ) INTO taken USING NEW.id, NEW.instance_id, NEW.number;
        IF NOT taken THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit events are append-only: INSERT of an existing one is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RAISE EXCEPTION 'audit events are append-only: % is refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
"""

# Once for all rows of a statement: in which order it takes them is PostgreSQL's own affair.
POSTGRESQL_DELETES = """
DECLARE
    refused boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (
            SELECT 1 FROM (SELECT instance_id, max(number) AS number FROM gone GROUP BY instance_id) AS taken
            WHERE EXISTS (
                SELECT 1 FROM %1$s AS left_over
                WHERE left_over.instance_id = taken.instance_id AND left_over.number < taken.number
            ) OR NOT EXISTS (
                SELECT 1 FROM %2$I.audit_checkpoints AS below JOIN %1$s AS said
                ON said.instance_id = below.instance_id AND said.number = below.event_number
                WHERE below.instance_id = taken.instance_id AND below.number >= taken.number
                AND said.event = ''audit.checkpoint''
            )
        )', TG_RELID::regclass, TG_TABLE_SCHEMA
    ) INTO refused;
    IF refused THEN
        RAISE EXCEPTION 'audit events are append-only: DELETE is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
"""

POSTGRESQL = {
    "audit_events_append_only": """
        CREATE TRIGGER audit_events_append_only BEFORE INSERT OR UPDATE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_events_append_only()
    """,
    "audit_events_no_truncate": """
        CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()
    """,
}

POSTGRESQL_DELETE = """
    CREATE TRIGGER audit_events_only_pruned AFTER DELETE ON audit_events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_only_pruned()
"""

TRIGGERS = {
    "sqlite": SQLITE,
    "postgresql": {
        **{name: f"{text} AS {POSTGRESQL_FUNCTION}" for name, text in POSTGRESQL.items()},
        "audit_events_only_pruned": f"{POSTGRESQL_DELETE} AS {POSTGRESQL_DELETES}",
    },
}
"""By database and name: a trigger's definition, on PostgreSQL with the body of its function."""
